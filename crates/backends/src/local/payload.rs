//! A task's data on its way between stages, as bytes that are not read on the way.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use stage::Json;

use crate::worker::wire::{Bytes, Region};

/// The encoding of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON text.
    Json,
    /// Raw bytes.
    Bytes,
    /// A table, as a stream of Arrow's IPC format.
    Table,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Bytes, Self::Table];

    /// Returns its name on the wire.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Json => "j",
            Self::Bytes => "b",
            Self::Table => "t",
        }
    }

    /// Returns its name on the wire for shared data.
    pub(crate) fn shared_tag(self) -> &'static str {
        match self {
            Self::Json => "J",
            Self::Bytes => "B",
            Self::Table => "T",
        }
    }

    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.tag() == tag)
    }
}

/// A task's data, encoded. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) format: Format,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Here(Arc<Vec<u8>>),
    /// Text that Rust has checked or written.
    Json(Json),
    /// The program's own table, and its stream, which shares the memory of the columns.
    #[cfg(feature = "arrow")]
    Table(Arc<(stage::Table, stage::IpcParts)>),
    /// Bytes in the arena from which a worker reads them, or into which the worker that made them
    /// wrote, and may still be writing. They may be passed to another worker, which is no more
    /// trusted, and are copied out before any other code sees them.
    Arena(Arc<Region>, Range<usize>),
}

impl Payload {
    pub(crate) fn new(format: Format, bytes: Vec<u8>) -> Self {
        Self { format, place: Place::Here(Arc::new(bytes)) }
    }

    /// Wraps JSON of the program; nothing is copied.
    pub(crate) fn of_json(json: Json) -> Self {
        Self { format: Format::Json, place: Place::Json(json.without_value()) }
    }

    /// Returns the JSON; fails if it is not JSON.
    pub(crate) fn into_json(self) -> Result<Json, serde_json::Error> {
        match self.place {
            Place::Json(json) => Ok(json),
            _ => Json::from_bytes(self.into_bytes()),
        }
    }

    /// Wraps a table of the program, and its stream; nothing is copied.
    #[cfg(feature = "arrow")]
    pub(crate) fn of_table(table: stage::Table, stream: stage::IpcParts) -> Self {
        Self { format: Format::Table, place: Place::Table(Arc::new((table, stream))) }
    }

    /// Returns the program's own table, if it is one.
    #[cfg(feature = "arrow")]
    pub(crate) fn table(&self) -> Option<&stage::Table> {
        match &self.place {
            Place::Table(table) => Some(&table.0),
            _ => None,
        }
    }

    /// Wraps a worker's output in an arena; returns none if it is not entirely inside of the
    /// region. The region must not shrink below it.
    pub(crate) fn in_arena(
        format: Format,
        region: &Arc<Region>,
        range: Range<usize>,
    ) -> Option<Self> {
        let is_inside = range.start <= range.end && range.end <= region.len();
        is_inside.then(|| Self { format, place: Place::Arena(Arc::clone(region), range) })
    }

    pub(crate) fn size(&self) -> usize {
        match &self.place {
            Place::Here(bytes) => bytes.len(),
            Place::Json(json) => json.text().len(),
            #[cfg(feature = "arrow")]
            Place::Table(table) => table.1.size(),
            Place::Arena(_, range) => range.len(),
        }
    }

    /// Points it to the copy in the region, and releases its former place.
    pub(crate) fn move_to(&mut self, region: &Arc<Region>, range: Range<usize>) {
        if let Some(moved) = Self::in_arena(self.format, region, range) {
            *self = moved;
        }
    }

    /// Writes it to this place in a region.
    pub(crate) fn write_to(&self, region: &Region, at: usize) -> io::Result<()> {
        match &self.place {
            Place::Here(bytes) => region.write(at, bytes),
            Place::Json(json) => region.write(at, json.text().as_bytes()),
            #[cfg(feature = "arrow")]
            Place::Table(table) => {
                let mut at = at;
                table.1.iter().try_for_each(|part| {
                    region.write(at, part)?;
                    at += part.len();
                    Ok(())
                })
            }
            Place::Arena(from, range) => region.write_from(at, from, range.start, range.len()),
        }
    }

    /// Returns the bytes, which are copied if they are in an arena or in a table.
    pub(crate) fn bytes(&self) -> Bytes {
        match &self.place {
            Place::Here(bytes) => Bytes::Raw(Arc::clone(bytes)),
            Place::Json(json) => Bytes::Text(json.clone().into_text()),
            #[cfg(feature = "arrow")]
            Place::Table(table) => Bytes::Raw(Arc::new(table.1.concat())),
            Place::Arena(region, range) => {
                let bytes = region.read(range.start, range.len(), Vec::new());
                let bytes = bytes.expect("it was inside of its region from the beginning");
                Bytes::Raw(Arc::new(bytes))
            }
        }
    }

    /// Returns the bytes, which are copied if they are shared.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let bytes = self.bytes();
        drop(self);
        match bytes {
            Bytes::Raw(bytes) => Arc::unwrap_or_clone(bytes),
            Bytes::Text(text) => Arc::unwrap_or_clone(text).into_bytes(),
        }
    }

    /// Returns the bytes, if they are not shared.
    pub(crate) fn into_own_bytes(self) -> Option<Vec<u8>> {
        match self.place {
            Place::Here(bytes) => Arc::into_inner(bytes),
            Place::Json(json) => Arc::into_inner(json.into_text()).map(String::into_bytes),
            #[cfg(feature = "arrow")]
            Place::Table(_) => None,
            Place::Arena(..) => None,
        }
    }
}
