//! Reads a worker's answer, which may have millions of outputs. The first token decides the kind of
//! each part, so that nothing is read twice or buffered.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use stage::Json;

use super::message::{Answer, Entry, OutputRecord};

/// Returns the items of a sequence.
fn items<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<T>, A::Error> {
    let mut items = Vec::new();
    while let Some(item) = seq.next_element()? {
        items.push(item);
    }
    Ok(items)
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry for each task, an aggregate or an error")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Answer, A::Error> {
        items(seq).map(Answer::Entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let answer = match map.next_key::<String>()?.as_deref() {
            Some("aggregate") => Answer::Aggregate(map.next_value()?),
            Some("failed") => Answer::Failed(map.next_value()?),
            _ => return Err(A::Error::custom("neither `aggregate` nor `failed`")),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(answer),
            Some(_) => Err(A::Error::custom("more than one answer")),
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outputs or an error")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Entry, A::Error> {
        items(seq).map(Entry::Outputs)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        Deserialize::deserialize(MapAccessDeserializer::new(map)).map(Entry::Raised)
    }
}

impl<'de> Deserialize<'de> for OutputRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = OutputRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an output: kind, length, and perhaps metadata and dataset")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OutputRecord, A::Error> {
        let cut = || A::Error::custom("an output that is cut short");
        let kind = seq.next_element()?.ok_or_else(cut)?;
        let length = seq.next_element()?.ok_or_else(cut)?;
        let rest = match seq.next_element::<Metadata>()? {
            Some(Metadata(metadata)) => Some((metadata, seq.next_element()?.ok_or_else(cut)?)),
            None => None,
        };
        Ok(OutputRecord { kind, length, rest })
    }
}

struct Metadata(Map<String, Value>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Json::deserialize(from)?.into_value().map_err(D::Error::custom)? {
            Value::Object(metadata) => Ok(Self(metadata)),
            _ => Err(D::Error::custom("metadata that is no object")),
        }
    }
}
