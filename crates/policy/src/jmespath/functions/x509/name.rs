//! Distinguished names, and the values of their attributes.

use super::base64_of;
use super::der::{Element, OCTET_STRING, Reader, SEQUENCE, SET};
use super::extensions::{list_or_null, oid_value};
use serde_json::{Map, Value, json};

/// Attribute types that Go has fields for, under 2.5.4.
const LISTS: [(&str, &str); 7] = [
    ("2.5.4.6", "Country"),
    ("2.5.4.10", "Organization"),
    ("2.5.4.11", "OrganizationalUnit"),
    ("2.5.4.7", "Locality"),
    ("2.5.4.8", "Province"),
    ("2.5.4.9", "StreetAddress"),
    ("2.5.4.17", "PostalCode"),
];

/// A name as Go's `pkix.Name`.
pub(super) fn decode(name: &Element<'_>) -> Option<Value> {
    let mut lists: [Vec<Value>; LISTS.len()] = Default::default();
    let (mut common_name, mut serial_number, mut names) = (json!(""), json!(""), Vec::new());
    for set in name.reader() {
        for attribute in set.reader() {
            let (kind, value) = type_and_value(attribute.reader())?;
            names.push(json!({ "Type": oid_value(&kind), "Value": value }));
            match kind.as_str() {
                "2.5.4.3" => common_name = value,
                "2.5.4.5" => serial_number = value,
                _ => {
                    if let Some(index) = LISTS.iter().position(|(oid, _)| *oid == kind) {
                        lists[index].push(value);
                    }
                }
            }
        }
    }
    let mut fields = Map::new();
    for ((_, field), values) in LISTS.iter().zip(lists) {
        fields.insert((*field).to_owned(), list_or_null(values));
    }
    fields.insert("CommonName".to_owned(), common_name);
    fields.insert("SerialNumber".to_owned(), serial_number);
    fields.insert("Names".to_owned(), list_or_null(names));
    fields.insert("ExtraNames".to_owned(), Value::Null);
    Some(Value::Object(fields))
}

fn type_and_value(mut parts: Reader<'_>) -> Option<(String, Value)> {
    let (kind, value) = (parts.oid()?, parts.next()?);
    Some((kind, value_of(&value)))
}

/// The value of a primitive element: text, or bytes in base64.
fn value_of(element: &Element<'_>) -> Value {
    match element.tag {
        OCTET_STRING => base64_of(element.content),
        // BMPString: UTF-16, big endian.
        0x1e => {
            let units: Vec<u16> =
                element.content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units).into()
        }
        // T61String, which everyone uses as Latin-1.
        0x14 => element.content.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
        _ => String::from_utf8_lossy(element.content).into(),
    }
}

/// An attribute of a request whose values are lists of types with values, as Go shows them; none for others.
pub(super) fn attribute(kind: &str, values: &Element<'_>) -> Option<Value> {
    if values.tag != SET {
        return None;
    }
    let mut lists = Vec::new();
    for list in values.reader() {
        let mut members = Vec::new();
        for member in list.reader() {
            let parts = member.reader();
            if member.tag != SEQUENCE || parts.clone().count() != 2 {
                return None;
            }
            let (kind, value) = type_and_value(parts)?;
            members.push(json!({ "Type": oid_value(&kind), "Value": value }));
        }
        lists.push(Value::Array(members));
    }
    Some(json!({ "Type": oid_value(kind), "Value": lists }))
}
