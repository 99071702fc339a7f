//! The mean of many pictures, pixel by pixel.

/// Sums up pictures of one size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeanPicture {
    sums: Vec<f64>,
    count: u64,
}

impl MeanPicture {
    /// Adds a picture, given row by row. All must have as many pixels as the first.
    pub fn add(&mut self, pixels: impl ExactSizeIterator<Item = f32>) {
        self.sums.resize(pixels.len(), 0.0);
        for (sum, pixel) in self.sums.iter_mut().zip(pixels) {
            *sum += f64::from(pixel);
        }
        self.count += 1;
    }

    /// Number of pictures.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of each pixel, row by row; empty without pictures.
    pub fn mean(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (sum / self.count as f64) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_each_pixel() {
        let mut mean = MeanPicture::default();
        assert_eq!((mean.count(), mean.mean()), (0, vec![]));
        mean.add([1.0, 2.0, 6.0].into_iter());
        mean.add([3.0, -2.0, 7.0].into_iter());
        assert_eq!((mean.count(), mean.mean()), (2, vec![2.0, 0.0, 6.5]));
    }
}
