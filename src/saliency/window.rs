//! The sliding window of a convolution or a pool, as an ONNX node describes it.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// A square window that moves over a feature map, with the attributes of ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Rows added above.
    pub top: usize,
    /// Columns added to the left.
    pub left: usize,
}

/// Reads the window of a convolution or a pool. It must be square, with equal strides, no dilation and explicit
/// padding.
pub fn window(node: &NodeProto) -> TractResult<Window> {
    let square = |name: &str, default: usize| -> TractResult<usize> {
        match node.get_attr_opt_vec::<usize>(name)?.as_deref() {
            None => Ok(default),
            Some(&[rows, columns]) if rows == columns && rows > 0 => Ok(rows),
            Some(other) => bail!("{} has {name} {other:?}, expected two equal numbers", node.name),
        }
    };
    ensure!(square("dilations", 1)? == 1, "{} is dilated", node.name);
    let [top, left, ..] = pads(node)?;
    Ok(Window { kernel: square("kernel_shape", 1)?, stride: square("strides", 1)?, top, left })
}

pub fn end_pads(node: &NodeProto) -> TractResult<[usize; 2]> {
    let [_, _, bottom, right] = pads(node)?;
    Ok([bottom, right])
}

/// Padding above, on the left, below and on the right.
fn pads(node: &NodeProto) -> TractResult<[usize; 4]> {
    let auto: Option<&str> = node.get_attr_opt("auto_pad")?;
    ensure!(matches!(auto, None | Some("NOTSET")), "{} is not padded by numbers", node.name);
    match node.get_attr_opt_vec::<usize>("pads")? {
        None => Ok([0; 4]),
        Some(pads) => pads.try_into().map_err(|pads| format_err!("{} has pads {pads:?}, expected four", node.name)),
    }
}
