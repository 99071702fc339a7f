"""Random views of faces, with glasses and with what a robot's camera does to them, for many faces at once.

The same kinds as those of the trainer (`src/augment.rs`, `src/glasses.rs`, `src/camera/`), with the same amounts. Positions
in a picture or a view are -1 to 1, to the right and down; pixels are 0 (black) to 1.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch.nn import functional

# From the camera to a turned face, in halves of the face's width.
CAMERA_DISTANCE = 6.0
# A smaller picture of the face is averaged over this many points a pixel along each axis.
POINTS_PER_PIXEL = 3


def between(range_, shape, random):
    least, largest = range_
    return least + (largest - least) * torch.rand(shape, generator=random, device=random.device)


def happens(share, shape, random):
    return torch.rand(shape, generator=random, device=random.device) < share


def gaussian_blurred(pictures, sigma):
    """Pictures [count, height, width], blurred."""
    radius = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(pictures[:, None], (radius,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])[:, 0]


@dataclass
class Squares:
    """The squares that are cropped from pictures. All fields have the same shape."""

    # Side of the square; 1 is that of the picture.
    side: torch.Tensor
    radians: torch.Tensor
    right: torch.Tensor
    down: torch.Tensor
    # -1 where left and right are exchanged, else 1.
    mirror: torch.Tensor
    # Amount of sharpening.
    sharpness: torch.Tensor

    @classmethod
    def draw(cls, recipe, shape, random):
        """Random squares by the fields of the trainer's `augmentation`."""
        either = lambda name: between((-recipe.get(name, 0.0), recipe.get(name, 0.0)), shape, random)
        return cls(
            side=(1 + 2 * between(recipe.get("margin", (0.0, 0.0)), shape, random)) * (1 + either("zoom")),
            radians=torch.deg2rad(either("rotation_degrees")),
            right=either("shift"),
            down=either("shift"),
            mirror=torch.where(happens(0.5 if recipe.get("mirror", True) else 0.0, shape, random), -1.0, 1.0),
            sharpness=between(recipe.get("sharpness", (0.0, 0.0)), shape, random),
        )

    @classmethod
    def plain(cls, margin, count, device):
        """The square of the robot, with this margin around the picture."""
        zero = torch.zeros(count, device=device)
        return cls(zero + 1 + 2 * margin, zero, zero, zero, zero + 1, zero)

    def taken(self, *positions):
        return Squares(*(getattr(self, field.name)[positions] for field in fields(self)))

    def with_box_off(self, right, down, growth):
        side = self.side * (1 + growth)
        return Squares(side, self.radians, self.right + right, self.down + down, self.mirror, self.sharpness)

    def points(self, side_px):
        """Where each pixel of a view lies in the picture: right and down, [count, side_px, side_px] each."""
        steps = (torch.arange(side_px, device=self.side.device) + 0.5) / side_px * 2 - 1
        x, y = steps[None, None, :], steps[None, :, None]
        one = lambda values: values[:, None, None]
        sin, cos, side, mirror = map(one, (self.radians.sin(), self.radians.cos(), self.side, self.mirror))
        right = side * (mirror * cos * x - sin * y + 2 * one(self.right))
        down = side * (mirror * sin * x + cos * y + 2 * one(self.down))
        return right, down


def turned(right, down, radians):
    """Where a point of the picture of a turned head, a plane, lies in the picture of the head as it was."""
    radians = radians[:, None, None]
    source = right / (radians.cos() - right * radians.sin() / CAMERA_DISTANCE)
    return source, down * (1 + source * radians.sin() / CAMERA_DISTANCE)


class Sources:
    """The pictures that are looked at."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.side_px = pictures.pixels.shape[-1]
        self.device = pictures.pixels.device

    def __len__(self):
        return len(self.pictures)

    def seen(self, positions, squares, side_px, random=None, glasses_share=0.0, turn=None):
        """Views [count, side_px, side_px] of the pictures at `positions`, with glasses on a share of them."""
        images = self.pictures.pixels[positions].float() / 255
        sharpness = squares.sharpness[:, None, None]
        images = (images + sharpness * (images - gaussian_blurred(images, 0.6))).clamp(0, 1)
        # A picture that is scaled down is averaged; single points would skip pixels.
        factor = 2 if self.side_px > side_px else 1
        right, down = squares.points(side_px * factor)
        if turn is not None:
            right, down = turned(right, down, turn)
        views = sampled(images, right, down)
        if glasses_share > 0:
            views = put_glasses_on(views, right, down, self.pictures.layout, glasses_share, random)
        return functional.avg_pool2d(views, factor) if factor > 1 else views


def sampled(images, right, down, mode="bilinear"):
    grid = torch.stack((right, down), -1)
    return functional.grid_sample(images[:, None], grid, mode, "border", align_corners=False)[:, 0]


def put_glasses_on(views, right, down, layout, share, random):
    """Random glasses on a share of the views, whose pixels lie at `right` and `down` in pictures of that layout."""
    count = len(views)
    draw = lambda least, largest: between((least, largest), (count, 1, 1), random)
    # Lengths in eye distances from here on.
    pixel = ((right[:, :1, 1:2] - right[:, :1, :1]) ** 2 + (down[:, :1, 1:2] - down[:, :1, :1]) ** 2).sqrt()
    pixel = pixel / 2 / layout.eye_distance
    x = right / 2 / layout.eye_distance - draw(-0.08, 0.08)
    y = (down / 2 + 0.5 - layout.eyes_y) / layout.eye_distance - draw(-0.06, 0.14)
    tilt = torch.deg2rad(draw(-6.0, 6.0))
    x, y = tilt.cos() * x + tilt.sin() * y, tilt.cos() * y - tilt.sin() * x
    width, height = draw(0.3, 0.46), draw(0.16, 0.36)
    thickness, taper = draw(0.02, 0.12), draw(-0.15, 0.2)
    # A superellipse for the upper and one for the lower half of a lens; never an ellipse, with which `occlude` measures.
    exponent = torch.where(y < 0, draw(2.6, 8.0), draw(2.6, 8.0))
    across = (x.abs() - 0.5) / (width * (1 - taper * (y / height).clamp(-1, 1)))
    gauge = (across.abs() ** exponent + (y / height).abs() ** exponent).clamp_min(1e-6) ** (1 / exponent)
    # From the outline, along the ray from the lens' middle; negative inside.
    distance = ((x.abs() - 0.5) ** 2 + y**2).sqrt() * (1 - 1 / gauge)
    covered = lambda depth: (0.5 + depth / pixel).clamp(0, 1)
    lens = covered(-distance)
    rim = covered(thickness / 2 - distance.abs())
    rim = torch.where((y > 0) & ~happens(0.8, (count, 1, 1), random), 0.0, rim)
    bar = lambda middle, inside: covered(thickness / 2 - (y - middle).abs()) * inside
    bridge = bar(-0.2 * height, x.abs() < 0.5 - width)
    temples = bar(-0.3 * height, (x.abs() > 0.5 + width) & (x.abs() < 1.3))
    frame = torch.maximum(rim, torch.maximum(bridge, temples))

    kind = draw(0.0, 1.0)
    opacity = torch.where(kind < 0.6, draw(0, 0.1), torch.where(kind < 0.85, draw(0.1, 0.5), draw(0.6, 0.95)))
    band = (x.abs() - 0.5) * x.sign() - draw(-0.7, 0.7) * width + 0.3 * width * y / height
    reflection = covered(0.075 - band.abs()) * torch.where(draw(0, 1) < 0.3, draw(0.2, 0.7), 0.0)
    changed = views + lens * opacity * (draw(0, 0.35) - views)
    changed = changed + lens * reflection * (1 - changed)
    # Dark plastic more often than metal.
    changed = changed + frame * (0.8 * draw(0, 1) ** 2 - changed)
    return torch.where(happens(share, (count, 1, 1), random), changed, views)


@dataclass
class Faults:
    """What a robot's camera and its detector do to each face of a batch; amounts of 0 are none."""

    low_light: torch.Tensor
    back_light: torch.Tensor
    blur: torch.Tensor
    small: torch.Tensor
    noise: torch.Tensor
    compression: torch.Tensor
    box: torch.Tensor
    turn: torch.Tensor

    @classmethod
    def draw(cls, recipe, count, random):
        """Each kind occurs in half of the share of the faces that have faults."""
        has = happens(recipe["share"], count, random)
        amount = lambda largest: between((0.0, largest), count, random) * (happens(0.5, count, random) & has)
        radians = math.radians(recipe["turn_degrees"])
        return cls(
            low_light=amount(recipe["low_light"]),
            back_light=amount(recipe["back_light"]),
            blur=amount(recipe["blur"]),
            small=amount(1.0),
            noise=amount(recipe["noise"]),
            compression=amount(recipe["compression"]),
            box=amount(recipe["box_offset"]),
            turn=amount(radians) * torch.where(happens(0.5, count, random), 1.0, -1.0),
        )

    def box_offset(self, random):
        """Shift to the right, down, and growth of the box."""
        return [self.box * between((-1.0, 1.0), self.box.shape, random) for _ in range(3)]

    def seen(self, views, smallest_face_px, random):
        """Views [count, side, side] with the faults of the picture."""
        count, side, _ = views.shape
        one = lambda values: values[:, None, None]
        views = self._lit(views, one, random)
        views = self._blurred(views, random)
        # The camera's picture of the face: `face_px` pixels in the corner of a canvas.
        face_px = torch.where(self.small > 0, smallest_face_px * (1 + 2 * self.small), float(side)).clamp_max(side)
        factor = one(side / face_px)
        steps = (torch.arange(side * POINTS_PER_PIXEL, device=views.device) + 0.5) / (side * POINTS_PER_PIXEL) * 2 - 1
        in_view = (steps[None] + 1) * factor[:, 0] - 1
        shape = (count, len(steps), len(steps))
        right, down = in_view[:, None, :].expand(shape), in_view[:, :, None].expand(shape)
        canvas = functional.avg_pool2d(sampled(views, right, down)[:, None], POINTS_PER_PIXEL)[:, 0]
        canvas = torch.where(one(face_px < side), canvas, views)
        canvas = self._noisy(canvas, one, random)
        canvas = self._compressed(canvas, one)
        steps = (torch.arange(side, device=views.device) + 0.5) / side * 2 - 1
        # The last pixel of the face is repeated at its edge, instead of what lies beyond it on the canvas.
        in_canvas = ((steps[None] + 1) / factor[:, 0] - 1).minimum(2 * (face_px[:, None] - 0.5) / side - 1)
        right, down = in_canvas[:, None, :].expand(count, side, side), in_canvas[:, :, None].expand(count, side, side)
        mode = "bicubic" if torch.rand(()) < 0.5 else "bilinear"
        large = sampled(canvas, right, down, mode)
        return torch.where(one(face_px < side), large, canvas).clamp(0, 1)

    def _lit(self, views, one, random):
        """Low light bends the curve of brightness down. Back light lies on one side, and shades the other one."""
        count, side, _ = views.shape
        steps = (torch.arange(side, device=views.device) + 0.5) / side - 0.5
        radians = one(between((0.0, math.tau), count, random))
        from_light = steps[None, None, :] * radians.cos() + steps[None, :, None] * radians.sin()
        from_light = (0.5 + from_light / math.sqrt(2)).clamp(0, 1)
        low, back = one(self.low_light), one(self.back_light)
        dark = (1 - 0.6 * low) * views.clamp(1e-4, 1) ** (1 + 1.5 * low)
        shaded = dark * (1 - back * (0.3 + 0.5 * from_light)) + 0.5 * back * (1 - from_light)
        return torch.where((low > 0) | (back > 0), shaded, views)

    def _blurred(self, views, random):
        """Out of focus, a disc; moved, a disc that is squeezed to a streak."""
        count, side, _ = views.shape
        radius, size = 3, 7
        one = lambda values: values[:, None, None]
        offsets = torch.arange(-radius, radius + 1, device=views.device, dtype=views.dtype)
        x, y = offsets[None, None, :], offsets[None, :, None]
        angle = one(between((0.0, math.pi), count, random))
        along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        largest = one(self.blur * side).clamp_min(1e-3)
        squeeze = one(torch.where(happens(0.5, count, random), between((0.05, 0.3), count, random), 1.0))
        distance = (along**2 + (across / squeeze) ** 2).sqrt()
        kernels = (largest + 0.5 - distance).clamp(0, 1) * torch.where(squeeze < 1, torch.exp(-across.abs()), 1.0)
        kernels = kernels / kernels.sum((1, 2), keepdim=True)
        padded = functional.pad(views[:, None], (radius,) * 4, mode="replicate")
        windows = functional.unfold(padded, size).reshape(count, size * size, side, side)
        blurred = torch.einsum("bkij,bk->bij", windows, kernels.flatten(1))
        return torch.where(one(self.blur) > 0, blurred, views)

    def _noisy(self, canvas, one, random):
        """Uniform noise, of which a half has a grain of two pixels, stronger in bright parts."""
        count, side, _ = canvas.shape
        noise = between((-1.0, 1.0), canvas.shape, random)
        grains = between((-1.0, 1.0), (count, 1, side // 2, side // 2), random)
        grains = functional.interpolate(grains, scale_factor=2, mode="bilinear", align_corners=False)[:, 0]
        noise = torch.where(happens(0.5, (count, 1, 1), random), noise, grains)
        return (canvas + one(self.noise) * noise * (0.5 + canvas)).clamp(0, 1)

    def _compressed(self, canvas, one):
        """The cosine coefficients of each block of 8x8 pixels, rounded to multiples of one step."""
        count, side, _ = canvas.shape
        order = torch.arange(8, device=canvas.device, dtype=canvas.dtype)
        basis = torch.cos(math.pi / 8 * (order[None, :] + 0.5) * order[:, None]) * math.sqrt(2 / 8)
        basis[0] *= math.sqrt(0.5)
        blocks = canvas.reshape(count, side // 8, 8, side // 8, 8)
        coefficients = torch.einsum("ux,bixjy,vy->biujv", basis, blocks, basis)
        step = self.compression[:, None, None, None, None].clamp_min(1e-4)
        rounded = (coefficients / step).round() * step
        decoded = torch.einsum("ux,biujv,vy->bixjy", basis, rounded, basis).reshape(count, side, side)
        return torch.where(one(self.compression) > 0, decoded, canvas).clamp(0, 1)


def erased(views, share, random):
    """A grey rectangle at a random place of a share of the views (Zhong et al. 2017)."""
    count, side, _ = views.shape
    steps = (torch.arange(side, device=views.device) + 0.5) / side
    draw = lambda least, largest: between((least, largest), (count, 1, 1), random)
    hides_x = (steps[None, None, :] - draw(0, 1)).abs() < draw(0.06, 0.2)
    hides_y = (steps[None, :, None] - draw(0, 1)).abs() < draw(0.06, 0.2)
    hidden = hides_x & hides_y & happens(share, (count, 1, 1), random)
    return torch.where(hidden, draw(0, 1).expand_as(views), views)


def relit(views, brightness, contrast, random):
    """Other brightness and contrast, as fractions of the range and of the contrast."""
    count = (len(views), 1, 1)
    factor, added = 1 + between((-contrast, contrast), count, random), between((-brightness, brightness), count, random)
    return ((views - 0.5) * factor + 0.5 + added).clamp(0, 1)
