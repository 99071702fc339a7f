//! The bytes of an ONNX model, in the encoding that every reader takes.
//!
//! ONNX's schema is of protocol buffers' second version, in which each number of a list has a key of its own unless the schema says
//! `packed`. Prost's types here pack every list. Most readers take both forms, but rten only that of the schema.

use anyhow::{bail, ensure};
use prost::{Message, decode_length_delimiter, encode_length_delimiter};
use tract_onnx::pb::ModelProto;

/// How a field is stored: the lowest three bits of its key.
const VARINT: usize = 0;
const EIGHT_BYTES: usize = 1;
const WITH_LENGTH: usize = 2;
const FOUR_BYTES: usize = 5;

/// The messages that lead to lists of numbers.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
}

/// What is done with a field that has a length.
enum Field {
    Message(Kind),
    Integers,
    Floats,
    /// Text, bytes, lists that the schema packs, and messages without lists.
    Other,
}

impl Kind {
    /// The field of this number in onnx.proto.
    fn field(self, number: usize) -> Field {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Field::Message(Self::Graph),
            (Self::Graph, 1) => Field::Message(Self::Node),
            (Self::Node, 5) => Field::Message(Self::Attribute),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Field::Message(Self::Tensor),
            (Self::Attribute, 7) => Field::Floats,
            (Self::Attribute, 8) | (Self::Tensor, 1) => Field::Integers,
            _ => Field::Other,
        }
    }
}

/// The content of an ONNX file.
///
/// # Errors
/// None for a model of Prost's types, whose encoding is well-formed.
pub fn encode_model(model: &ModelProto) -> anyhow::Result<Vec<u8>> {
    unpacked(Kind::Model, &model.encode_to_vec())
}

/// A message with its lists as the schema has them.
fn unpacked(kind: Kind, mut message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut written = Vec::with_capacity(message.len());
    while !message.is_empty() {
        let key = read_number(&mut message)?;
        match key & 7 {
            WITH_LENGTH => {
                let length = read_number(&mut message)?;
                write_field(kind, key >> 3, take(&mut message, length)?, &mut written)?;
            }
            VARINT => {
                write_number(key, &mut written)?;
                write_number(read_number(&mut message)?, &mut written)?;
            }
            EIGHT_BYTES => {
                write_number(key, &mut written)?;
                written.extend_from_slice(take(&mut message, 8)?);
            }
            FOUR_BYTES => {
                write_number(key, &mut written)?;
                written.extend_from_slice(take(&mut message, 4)?);
            }
            other => bail!("a field is stored in the unknown way {other}"),
        }
    }
    Ok(written)
}

/// Writes a field that has a length.
fn write_field(kind: Kind, number: usize, mut content: &[u8], written: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut write_whole = |content: &[u8]| {
        write_number(number << 3 | WITH_LENGTH, written)?;
        write_number(content.len(), written)?;
        written.extend_from_slice(content);
        anyhow::Ok(())
    };
    match kind.field(number) {
        Field::Message(kind) => write_whole(&unpacked(kind, content)?)?,
        Field::Other => write_whole(content)?,
        Field::Integers => {
            while !content.is_empty() {
                write_number(number << 3 | VARINT, written)?;
                write_number(read_number(&mut content)?, written)?;
            }
        }
        Field::Floats => {
            while !content.is_empty() {
                write_number(number << 3 | FOUR_BYTES, written)?;
                written.extend_from_slice(take(&mut content, 4)?);
            }
        }
    }
    Ok(())
}

/// Reads a number of variable length. Prost calls it a length delimiter.
fn read_number(bytes: &mut &[u8]) -> anyhow::Result<usize> {
    let number = decode_length_delimiter(*bytes)?;
    *bytes = &bytes[prost::length_delimiter_len(number)..];
    Ok(number)
}

fn write_number(number: usize, written: &mut Vec<u8>) -> anyhow::Result<()> {
    Ok(encode_length_delimiter(number, written)?)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> anyhow::Result<&'a [u8]> {
    ensure!(bytes.len() >= length, "the message ends in the middle of a field");
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

    use super::*;

    #[test]
    fn lists_have_one_key_per_number_and_the_model_stays_the_same() {
        let attribute = AttributeProto {
            name: "pads".to_owned(),
            ints: vec![1, -1, 300],
            floats: vec![0.5, -2.0],
            f: 1.5,
            ..Default::default()
        };
        let tensor = TensorProto {
            dims: vec![2, 300],
            float_data: vec![1.0, 2.0],
            raw_data: vec![8, 1, 8, 2],
            ..Default::default()
        };
        let node = NodeProto { attribute: vec![attribute], ..Default::default() };
        let graph = GraphProto { node: vec![node], initializer: vec![tensor], ..Default::default() };
        let model = ModelProto { ir_version: 7, graph: Some(graph), ..Default::default() };
        let bytes = encode_model(&model).unwrap();
        assert_eq!(ModelProto::decode(bytes.as_slice()).unwrap(), model);
        // Field 8 as a number, not as a list: 300 is 0xac 0x02.
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(&[8 << 3, 1]) && has(&[8 << 3, 0xac, 0x02]));
        // The dimensions, and the list of floats that the schema packs.
        assert!(has(&[1 << 3, 2, 1 << 3, 0xac, 0x02]));
        assert!(has(&[4 << 3 | 2, 8, 0, 0, 0x80, 0x3f]));
    }

    #[test]
    fn the_models_of_the_repository_are_encoded_so() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for folder in ["../models", "../models/released", "teachers"] {
            for entry in root.join(folder).read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "onnx") {
                    let bytes = std::fs::read(&path).unwrap();
                    let model = ModelProto::decode(bytes.as_slice()).unwrap();
                    assert!(encode_model(&model).unwrap() == bytes, "{}", path.display());
                    count += 1;
                }
            }
        }
        assert!(count >= 5);
    }
}
