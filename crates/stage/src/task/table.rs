//! A table of columns, in Arrow's format.

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Record batches of one schema. In Python, it is a `pyarrow.Table`, or a `curator_table.Table`
/// without `pyarrow`.
///
/// Between processes it travels as an Arrow IPC stream. Two tables are equal if their schemas and
/// their batches are: the division of the rows into batches counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Creates a table of these batches, which may be none.
    ///
    /// Fails if one of them has another schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self, ArrowError> {
        match batches.iter().position(|batch| batch.schema_ref() != &schema) {
            None => Ok(Self { schema, batches }),
            Some(at) => Err(ArrowError::SchemaError(format!(
                "batch {at} of a table has another schema than the table"
            ))),
        }
    }

    /// Returns the schema of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the rows, in their batches.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Returns whether it has a column of that name.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.schema.column_with_name(column).is_some()
    }

    /// Reads an Arrow IPC stream, whose memory the table keeps without a copy.
    ///
    /// All of it is checked, so untrusted bytes are safe: they are a table or an error. Compressed
    /// streams are an error.
    pub fn from_ipc(bytes: Vec<u8>) -> Result<Self, ArrowError> {
        let read = AssertUnwindSafe(|| {
            let mut bytes = Buffer::from_vec(bytes);
            let mut decoder = StreamDecoder::new();
            let mut batches = Vec::new();
            while let Some(batch) = decoder.decode(&mut bytes)? {
                batches.push(batch);
            }
            decoder.finish()?;
            let schema = decoder.schema();
            let schema = schema.ok_or_else(|| {
                ArrowError::IpcError("a stream that ends before its schema".to_owned())
            })?;
            Self::new(schema, batches)
        });
        // The reader returns errors; a panic in it, if any, must not end other threads.
        catch_unwind(read).unwrap_or_else(|_| {
            Err(ArrowError::IpcError("a stream that makes no sense".to_owned()))
        })
    }

    /// Writes an Arrow IPC stream.
    ///
    /// Fails for a type without a form there.
    pub fn to_ipc(&self) -> Result<Vec<u8>, ArrowError> {
        Ok(self.to_ipc_parts()?.concat())
    }

    /// Returns the stream in parts, which share the memory of the columns.
    ///
    /// Fails for a type without a form there.
    pub fn to_ipc_parts(&self) -> Result<IpcParts, ArrowError> {
        let mut encoder = StreamEncoder::try_new(&self.schema)?;
        let mut parts = Vec::new();
        for batch in &self.batches {
            parts.extend(encoder.encode(batch)?);
        }
        parts.extend(encoder.finish()?);
        Ok(IpcParts(parts))
    }
}

/// An Arrow IPC stream that shares memory instead of copying.
#[derive(Clone, Debug)]
pub struct IpcParts(Vec<Buffer>);

impl IpcParts {
    /// Returns the length of the stream in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(Buffer::len).sum()
    }

    /// Returns its parts in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Buffer::as_slice)
    }

    /// Returns the whole stream, copied.
    #[must_use]
    pub fn concat(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        self.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }
}

impl From<RecordBatch> for Table {
    fn from(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: vec![batch] }
    }
}

impl Default for Table {
    /// Returns a table without columns and rows.
    fn default() -> Self {
        Self { schema: Schema::empty().into(), batches: Vec::new() }
    }
}

/// Values are compared by their bytes, so a table equals itself even with NaN in it.
impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.schema.hash(state);
        self.batches.len().hash(state);
        self.rows().hash(state);
    }
}

/// An IPC stream in base 64.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.to_ipc().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Self::from_ipc(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use arrow_schema::{DataType, Field};
    use proptest::prelude::*;

    use super::*;
    use crate::{Data, Task};

    fn table(rows: &[(Option<i64>, f64, String)]) -> Table {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let floats: Float64Array = rows.iter().map(|row| Some(row.1)).collect();
        let texts: StringArray = rows.iter().map(|row| Some(row.2.as_str())).collect();
        let columns = [
            ("number", Arc::new(numbers) as ArrayRef),
            ("float", Arc::new(floats)),
            ("text", Arc::new(texts)),
        ];
        RecordBatch::try_from_iter(columns).unwrap().into()
    }

    fn tables() -> impl Strategy<Value = Table> {
        prop::collection::vec((any::<Option<i64>>(), any::<f64>(), any::<String>()), 0..9)
            .prop_map(|rows| table(&rows))
    }

    #[test]
    fn batches_of_another_schema_are_refused() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
        assert!(Table::new(schema.into(), table(&[]).batches).is_err());
        assert_eq!(Table::from_ipc(Table::default().to_ipc().unwrap()).unwrap(), Table::default());
        assert!(Table::from_ipc(Vec::new()).is_err());
    }

    proptest! {
        /// A written table is read back the same, as a stream and as a line of JSON.
        #[test]
        fn a_table_survives_its_forms(table in tables()) {
            prop_assert_eq!(&Table::from_ipc(table.to_ipc().unwrap()).unwrap(), &table);
            let task = Task::new(table);
            prop_assert!(task.data.has("number") && !task.data.has("other"));
            prop_assert_eq!(Task::from_json_line(&task.to_json_line()).unwrap().data, task.data);
        }

        /// A damaged stream is a table or an error.
        #[test]
        fn a_damaged_stream_is_an_error_or_a_table(
            table in tables(), cut in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut bytes = table.to_ipc().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(read) = Table::from_ipc(bytes.clone()) {
                // An accepted table can be used.
                let _ = format!("{read:?}");
                let _ = read.to_ipc();
            }
            bytes.truncate(cut.index(bytes.len()));
            let _ = Table::from_ipc(bytes);
            let data = serde_json::json!({ "data": { "arrow": "AAAA" } }).to_string();
            prop_assert!(Task::from_json_line(&data).is_err());
            let _ = Data::default();
        }
    }
}
