//! Fields are found, put on, taken off and written as those of a plain list would be.

use std::cell::Cell;

use bytes::BytesMut;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use proptest::prelude::{Just, Strategy, proptest};
use proptest::{collection, prop_oneof, sample};

use super::{FieldLine, Fields, Repeated, Unread};

/// Fields of these names and values.
pub(crate) fn fields(given: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in given {
        fields.append(&name_of(name), &HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn name_of(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap()
}

/// The same, of a text in which each line is written as the last part of it says.
fn read(lines: &[(&str, &str, &str)]) -> Fields {
    let (mut text, mut unread) = (BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]), Unread::default());
    for (name, value, blanks) in lines {
        let begin = text.len();
        let value = format!("{blanks}{value}{}", blanks.trim_start());
        unread.note(begin, begin + name.len(), value.as_bytes());
        text.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    unread.finish(text)
}

fn told(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    fields.iter().map(|line| (text(line.name), text(line.value))).collect()
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out);
    assert!(out.len() <= fields.written_length());
    String::from_utf8(out).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Put(&'static str, &'static str),
    Append(&'static str, &'static str),
    Number(&'static str, u64),
    Remove(&'static str),
    RemoveNamesOf(&'static str),
    Retain(&'static str),
    Replace(&'static str, &'static str),
}

const NAMES: [&str; 4] = ["host", "accept", "x-a", "x-b"];
const VALUES: [&str; 4] = ["", "a", "quite a long value, with: a colon", "b"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (name, value) = (|| sample::select(&NAMES[..]), || sample::select(&VALUES[..]));
    let step = prop_oneof![
        (name(), value()).prop_map(|(name, value)| Step::Put(name, value)),
        (name(), value()).prop_map(|(name, value)| Step::Append(name, value)),
        (name(), Just(8080)).prop_map(|(name, number)| Step::Number(name, number)),
        name().prop_map(Step::Remove),
        value().prop_map(Step::RemoveNamesOf),
        value().prop_map(Step::Retain),
        (value(), value()).prop_map(|(from, to)| Step::Replace(from, to)),
    ];
    collection::vec(step, 0..12)
}

fn apply(fields: &mut Fields, step: &Step) {
    let value = HeaderValue::from_static;
    match step {
        Step::Put(name, text) => fields.put(&name_of(name), &value(text)),
        Step::Append(name, text) => fields.append(&name_of(name), &value(text)),
        Step::Number(name, number) => fields.put_number(&name_of(name), *number),
        Step::Remove(name) => {
            let had = fields.has(&name_of(name));
            assert_eq!(fields.remove(&name_of(name)), had);
        }
        Step::RemoveNamesOf(text) => {
            fields.remove_names_of(|line| line.value == text.as_bytes());
        }
        Step::Retain(text) => {
            fields.retain(|line| line.value != text.as_bytes());
        }
        Step::Replace(from, to) => fields.replace(|value| (value == from.as_bytes()).then(|| to.as_bytes().to_vec())),
    }
}

fn apply_plainly(list: &mut Vec<(String, String)>, step: &Step) {
    match step {
        Step::Put(name, value) => match list.iter().position(|(other, _)| other == name) {
            None => list.push((name.to_string(), value.to_string())),
            Some(at) => {
                list[at].1 = value.to_string();
                let mut index = 0;
                list.retain(|(other, _)| {
                    index += 1;
                    other != name || index == at + 1
                });
            }
        },
        Step::Append(name, value) => list.push((name.to_string(), value.to_string())),
        Step::Number(name, number) => apply_plainly(list, &Step::Put(name, number.to_string().leak())),
        Step::Remove(name) => list.retain(|(other, _)| other != name),
        Step::RemoveNamesOf(value) => {
            let names: Vec<_> = list.iter().filter(|(_, other)| other == value).map(|(name, _)| name.clone()).collect();
            list.retain(|(name, _)| !names.contains(name));
        }
        Step::Retain(value) => list.retain(|(_, other)| other != value),
        Step::Replace(from, to) => {
            for (_, value) in list.iter_mut().filter(|(_, value)| value == from) {
                *value = to.to_string();
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_done_to_them_they_are_what_a_plain_list_would_be(
        lines in collection::vec(
            (sample::select(&NAMES[..]), sample::select(&VALUES[..]), sample::select(&[" ", "", "\t", " \t "][..])),
            0..6,
        ),
        steps in steps(),
    ) {
        let mut fields = read(&lines);
        let mut list: Vec<_> = lines.iter().map(|(name, value, _)| (name.to_string(), value.to_string())).collect();
        for step in steps {
            apply(&mut fields, &step);
            apply_plainly(&mut list, &step);
            assert_eq!(told(&fields), list, "{step:?}");
            assert_eq!(told(&fields.clone()), list);
            assert_eq!(told(&Fields::from(&fields.to_map())).len(), list.len());
            assert_eq!(written(&fields), list.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>());
            for name in NAMES.map(name_of) {
                let values: Vec<_> = list.iter().filter(|(other, _)| name == **other).map(|(_, value)| value.as_bytes()).collect();
                assert_eq!(fields.get_all(&name).collect::<Vec<_>>(), values);
                assert_eq!((fields.get(&name), fields.has(&name)), (values.first().copied(), !values.is_empty()));
                assert_eq!(fields.share(&name).as_deref(), fields.get(&name));
                match fields.single(&name) {
                    Ok(value) => assert!(values.len() < 2 && value == fields.get(&name)),
                    Err(Repeated) => assert!(values.len() > 1),
                }
            }
        }
    }
}

#[test]
fn names_are_read_in_lower_case_and_values_as_they_are() {
    let fields = read(&[("ACCEPT", "Text/HTML", " "), ("x-A", "B", "\t")]);
    assert_eq!(written(&fields), "accept: Text/HTML\r\nx-a: B\r\n");
}

#[test]
fn a_credential_stays_one_and_is_not_shown() {
    let mut secret = HeaderValue::from_static("Bearer s3cr3t");
    secret.set_sensitive(true);
    let mut fields = fields(&[("accept", "*/*")]);
    fields.put(&AUTHORIZATION, &secret);
    let is_secret = |fields: &Fields| fields.iter().map(|line| line.is_secret).collect::<Vec<_>>();
    assert_eq!(is_secret(&fields), [false, true]);
    assert_eq!(is_secret(&fields.clone()), [false, true]);
    let map = fields.to_map();
    assert!(map[AUTHORIZATION].is_sensitive() && !map["accept"].is_sensitive());
    assert_eq!(is_secret(&Fields::from(&map)), [false, true]);
    let shown = format!("{fields:?} {map:?}");
    assert!(!shown.contains("s3cr3t") && shown.contains("*/*"), "{shown}");
}

#[test]
fn a_credential_that_is_replaced_or_taken_off_leaves_nothing() {
    let mut secret = HeaderValue::from_static("Bearer s3cr3t");
    secret.set_sensitive(true);
    let mut fields = fields(&[]);
    fields.put(&AUTHORIZATION, &secret);
    fields.put(&AUTHORIZATION, &secret);
    let count = |fields: &Fields| fields.texts.put.windows(6).filter(|window| window == b"s3cr3t").count();
    assert_eq!(count(&fields), 1);
    fields.remove(&AUTHORIZATION);
    assert_eq!(count(&fields), 0);
}

#[test]
fn each_field_is_asked_about_once_however_many_go() {
    let mut many = Fields::default();
    for number in 0..100 {
        many.append(&name_of(&format!("x-{number}")), &HeaderValue::from_static("x"));
    }
    let asked = Cell::new(0);
    let removed = many.remove_names_of(|_| {
        asked.set(asked.get() + 1);
        true
    });
    assert_eq!((removed, many.len(), asked.get()), (100, 0, 100));
}

#[test]
fn a_value_that_is_not_legal_is_not_put_in_anothers_place() {
    let mut fields = fields(&[("x-a", "a")]);
    fields.replace(|_| Some(b"b\r\nx-b: c".to_vec()));
    let lines: Vec<FieldLine<'_>> = fields.iter().collect();
    assert!(lines.len() == 1 && lines[0].value.is_empty());
}
