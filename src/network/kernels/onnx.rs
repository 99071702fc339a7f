//! Attributes and weights of an ONNX file.

use tract_onnx::pb::{NodeProto, TensorProto};

/// ONNX's number for 32-bit floating point tensors.
const FLOAT: i32 = 1;

/// A tensor of 32-bit numbers.
#[derive(Debug, Clone)]
pub struct Weights {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Weights {
    /// `None` where it has another type, is stored elsewhere, or has another number of values than its shape says.
    pub fn read(tensor: &TensorProto) -> Option<Self> {
        let shape = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<Vec<_>>>()?;
        let values: Vec<f32> = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            let (numbers, rest) = tensor.raw_data.as_chunks::<4>();
            rest.is_empty().then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())?
        };
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))?;
        (tensor.data_type == FLOAT && values.len() == count).then_some(Self { shape, values })
    }
}

/// The attributes of a node. Each getter returns an error that names what the kernels do not know.
pub struct Attributes<'a>(pub &'a NodeProto);

impl Attributes<'_> {
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, |attribute| attribute.f)
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.find(name).map(|attribute| attribute.ints.as_slice())
    }

    pub fn text(&self, name: &str) -> Option<&[u8]> {
        self.find(name).map(|attribute| attribute.s.as_slice())
    }

    /// `N` sizes, `default` where there are none.
    pub fn sizes<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N], String> {
        let Some(ints) = self.ints(name) else { return Ok([default; N]) };
        let sizes: Option<Vec<usize>> = ints.iter().map(|size| usize::try_from(*size).ok()).collect();
        sizes.and_then(|sizes| sizes.try_into().ok()).ok_or_else(|| format!("{}: {name} {ints:?}", self.0.name))
    }

    fn find(&self, name: &str) -> Option<&tract_onnx::pb::AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }
}
