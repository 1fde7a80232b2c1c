//! The tensors of a model, in one file of safetensors or in several.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};
use rten_simd::f16;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::LoadError;
use crate::folder::{Folder, MAX_JSON_BYTES, inside};

/// All weights in one file.
pub(crate) const WHOLE: &str = "model.safetensors";
/// Which of several files holds a tensor.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// The largest models that fit the bounds of `config.json` are a few files.
const MAX_SHARDS: usize = 64;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The names of the files that an index names.
pub(crate) fn shards(index: &[u8]) -> Result<BTreeSet<String>, LoadError> {
    let malformed = |reason: String| LoadError::Malformed { file: INDEX.into(), reason };
    let index: Index =
        serde_json::from_slice(index).map_err(|error| malformed(error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        return Err(malformed(format!("it names {} files", shards.len())));
    }
    for shard in &shards {
        inside(INDEX, shard)?;
        if !shard.ends_with(".safetensors") {
            return Err(LoadError::unsupported("the format of the weights", shard));
        }
    }
    Ok(shards)
}

/// The files with a model's weights.
pub(crate) fn files(folder: &Folder) -> Result<Vec<PathBuf>, LoadError> {
    if let Some(path) = folder.file(WHOLE)? {
        return Ok(vec![path]);
    }
    let names = match folder.bytes(INDEX, MAX_JSON_BYTES)? {
        Some(index) => shards(&index)?,
        None => BTreeSet::from([WHOLE.to_owned()]),
    };
    let missing = |name: &String| LoadError::Unreadable {
        path: name.clone(),
        error: std::io::ErrorKind::NotFound.into(),
    };
    names.iter().map(|name| folder.file(name)?.ok_or_else(|| missing(name))).collect()
}

/// A file of weights, mapped into memory.
pub(crate) struct Mapped {
    file: File,
    whole: Mmap,
}

impl Mapped {
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |error| LoadError::Unreadable { path: path.display().to_string(), error };
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len() as usize;
        let whole = map(&file, 0, length).map_err(unreadable)?;
        Ok(Self { file, whole })
    }
}

#[allow(unsafe_code)]
fn map(file: &File, offset: u64, length: usize) -> std::io::Result<Mmap> {
    // SAFETY: the file is written once under another name and renamed, so
    // nothing changes it. If somebody truncates it all the same, the process
    // is ended by a signal; no memory is corrupted.
    unsafe { MmapOptions::new().offset(offset).len(length).map(file) }
}

/// The kinds of number that weights are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    /// IEEE 754 single precision.
    Single,
    /// IEEE 754 half precision.
    Half,
    /// The upper half of a single.
    Brain,
}

impl Float {
    fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::Single),
            Dtype::F16 => Some(Self::Half),
            Dtype::BF16 => Some(Self::Brain),
            // `Dtype` is open: new kinds of number may come.
            _ => None,
        }
    }

    /// Bytes of a number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Single => 4,
            Self::Half | Self::Brain => 2,
        }
    }

    /// Gives every number to `each`, in order.
    pub(crate) fn for_each(self, bytes: &[u8], mut each: impl FnMut(f32)) {
        match self {
            Self::Single => {
                let (numbers, _) = bytes.as_chunks::<4>();
                numbers.iter().for_each(|number| each(f32::from_le_bytes(*number)));
            }
            Self::Half => {
                let (numbers, _) = bytes.as_chunks::<2>();
                let single = |number: &[u8; 2]| f16::from_bits(u16::from_le_bytes(*number));
                numbers.iter().for_each(|number| each(single(number).to_f32()));
            }
            Self::Brain => {
                let (numbers, _) = bytes.as_chunks::<2>();
                let bits = |number: &[u8; 2]| u32::from(u16::from_le_bytes(*number)) << 16;
                numbers.iter().for_each(|number| each(f32::from_bits(bits(number))));
            }
        }
    }
}

/// The tensors of all files together.
pub(crate) struct Checkpoint<'a> {
    files: Vec<(&'a Mapped, SafeTensors<'a>)>,
    /// What stands before the encoder's names.
    prefix: &'static str,
}

impl<'a> Checkpoint<'a> {
    /// Reads the headers. The encoder's tensors are named as they are, or with
    /// the name of the encoder inside a larger model before them.
    pub(crate) fn read(files: &'a [Mapped]) -> Result<Self, LoadError> {
        let header = |file: &'a Mapped| {
            let tensors = SafeTensors::deserialize(&file.whole);
            tensors.map(|tensors| (file, tensors)).map_err(|error| wrong(WHOLE, error))
        };
        let files = files.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        let mut checkpoint = Self { files, prefix: "" };
        let anchor = "embeddings.word_embeddings.weight";
        let known = ["", "bert.", "roberta."];
        let prefix =
            known.iter().find(|prefix| checkpoint.find(&format!("{prefix}{anchor}")).is_some());
        checkpoint.prefix = prefix.ok_or_else(|| wrong(anchor, "it is not there"))?;
        Ok(checkpoint)
    }

    fn find(&self, name: &str) -> Option<(&'a Mapped, safetensors::tensor::TensorView<'a>)> {
        self.files.iter().find_map(|(file, tensors)| Some((*file, tensors.tensor(name).ok()?)))
    }

    /// The bytes of a tensor that has this shape and holds numbers.
    fn tensor(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<(&'a Mapped, Float, &'a [u8]), LoadError> {
        let (file, tensor) = self.find(name).ok_or_else(|| wrong(name, "it is not there"))?;
        if tensor.shape() != shape {
            return Err(wrong(name, format!("its shape is {:?}, not {shape:?}", tensor.shape())));
        }
        let dtype = tensor.dtype();
        let float = Float::of(dtype).ok_or_else(|| {
            LoadError::unsupported("the tensor type", format!("{dtype:?} of {name}"))
        })?;
        Ok((file, float, tensor.data()))
    }

    /// The numbers of a tensor of the encoder.
    pub(crate) fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        self.outside(&format!("{}{name}", self.prefix), shape)
    }

    /// The numbers of a tensor that stands outside the encoder, such as a head's.
    pub(crate) fn outside(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (_, float, bytes) = self.tensor(name, shape)?;
        let mut numbers = Vec::with_capacity(shape.iter().product());
        float.for_each(bytes, |number| numbers.push(number));
        if numbers.iter().all(|number| number.is_finite()) {
            return Ok(numbers);
        }
        Err(wrong(name, "it holds what is not a number"))
    }

    /// A table of the encoder, which stays in its file.
    pub(crate) fn table(&self, name: &str, rows: usize, width: usize) -> Result<Table, LoadError> {
        let name = format!("{}{name}", self.prefix);
        let (file, float, bytes) = self.tensor(&name, &[rows, width])?;
        let offset = (bytes.as_ptr() as usize).saturating_sub(file.whole.as_ptr() as usize);
        // A view of its own: of this one only the rows that texts use come into
        // memory.
        let map =
            map(&file.file, offset as u64, bytes.len()).map_err(|error| wrong(&name, error))?;
        Ok(Table { map, float, width })
    }
}

fn wrong(name: &str, what: impl std::fmt::Display) -> LoadError {
    LoadError::Weights(format!("{name}: {what}"))
}

/// An embedding table in the mapped file.
pub(crate) struct Table {
    map: Mmap,
    float: Float,
    width: usize,
}

impl Table {
    /// Adds a row to `to`; a row that the table does not have adds nothing.
    pub(crate) fn add_row(&self, row: usize, to: &mut [f32]) {
        let bytes = self.width * self.float.size();
        let start = row.saturating_mul(bytes);
        let row = self.map.get(start..start.saturating_add(bytes)).unwrap_or_default();
        let mut to = to.iter_mut();
        self.float.for_each(row, |number| {
            if let Some(to) = to.next() {
                *to += number;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_sixteen_bits_are_widened_exactly() {
        let mut found = Vec::new();
        // 1.5, -2 and the least half above zero.
        let half = [0x3e00_u16, 0xc000, 0x0001].map(u16::to_le_bytes).concat();
        Float::Half.for_each(&half, |number| found.push(number));
        assert_eq!(found, [1.5, -2.0, 2.0_f32.powi(-24)]);
        found.clear();
        let brain = [0x3fc0_u16, 0xc000].map(u16::to_le_bytes).concat();
        Float::Brain.for_each(&brain, |number| found.push(number));
        assert_eq!(found, [1.5, -2.0]);
    }

    #[test]
    fn an_index_names_files_of_safetensors_inside_the_folder() {
        let index = |file: &str| {
            shards(serde_json::json!({"weight_map": {"a": file}}).to_string().as_bytes())
        };
        assert_eq!(index("a.safetensors").unwrap().len(), 1);
        for file in ["../a.safetensors", "/a.safetensors", "pytorch_model.bin"] {
            assert!(index(file).is_err(), "{file}");
        }
        assert!(shards(b"{\"weight_map\": {}}").is_err());
    }
}
