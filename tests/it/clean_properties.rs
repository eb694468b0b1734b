//! What holds for every row, checked on random ones.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use pipe::text::record::Record;

use super::clean_harness::clean;

/// Any JSON value within the reader's limits.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any_text(), inner, 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Texts with everything that a lexer may stumble over.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        vec(
            prop_oneof![
                Just("//"),
                Just("/*"),
                Just("*/"),
                Just("\""),
                Just("\\"),
                Just("{"),
                Just(",}"),
                Just("\n"),
                Just("\u{7f}"),
                Just("\u{2028}"),
                Just("é"),
                Just("😀"),
                Just("\0")
            ],
            0..12
        )
        .prop_map(|parts| parts.concat()),
    ]
}

/// Spells all that can be escaped as `\uXXXX`, and puts white space and comments between tokens.
fn respell(value: &Value, out: &mut String) {
    let blank = " /* \" // */ \t";
    match value {
        Value::String(text) => {
            out.push('"');
            out.extend(text.encode_utf16().map(|unit| format!("\\u{unit:04X}")));
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                respell(item, out);
                out.push_str(blank);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (key, item) in entries {
                respell(&Value::from(key.as_str()), out);
                out.push_str(blank);
                out.push(':');
                out.push_str(blank);
                respell(item, out);
                out.push(',');
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn row(arguments: &Value, text: &str) -> Value {
    json!({"instruction": format!("q{text}"), "tools": [{"name": "f", "args_schema": {"type": "object"}}], "trajectory": [
        {"thought": text, "action": {"tool": "f", "args": {"x": arguments}}, "observation": text}], "final_answer": format!("{text}a")})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_row_keeps_its_meaning_and_is_spelled_as_serde_spells_it(arguments in any_json(), text in any_text()) {
        let row = row(&arguments, &text);
        let cleaned = clean(row.to_string());
        prop_assert_eq!(&cleaned.rejects, "");
        let line = cleaned.records.trim_end_matches('\n');
        let record: Record = serde_json::from_str(line).unwrap();
        prop_assert_eq!(serde_json::to_string(&record).unwrap(), line);
        let value = &cleaned.record_values()[0]["conversation"]["turns"][0];
        prop_assert_eq!(value["steps"][0]["calls"][0]["arguments"]["x"].to_string(), arguments.to_string());
        prop_assert_eq!(value["steps"][0]["calls"][0]["observation"].as_str(), Some(text.as_str()));
        prop_assert_eq!(value["user"].as_str(), row["instruction"].as_str());
    }

    #[test]
    fn another_spelling_with_comments_gives_the_same_bytes(arguments in any_json(), text in any_text()) {
        let row = row(&arguments, &text);
        let mut respelled = String::new();
        respell(&row, &mut respelled);
        respelled.push_str(" // \" {");
        let (one, other) = (clean(row.to_string()), clean(&respelled));
        prop_assert_eq!(&other.rejects, "");
        prop_assert_eq!(one.records, other.records);
    }

    #[test]
    fn a_line_is_refused_as_json_exactly_when_serde_refuses_it(text in any_text(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = json!({"text": format!("t{text}"), "n": [1, -2.5e3, true, null, {"k": ""}]}).to_string().into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        prop_assume!(!line.contains(&b'\n') && byte != b'/');
        let theirs = serde_json::from_slice::<Value>(&line);
        let cleaned = clean(&line);
        let codes: Vec<String> = cleaned.reasons();
        let of_fields = ["wrong_type", "missing_field", "empty_field", "unknown_format"];
        let ours = !codes.iter().any(|code| !of_fields.iter().any(|field| code.contains(field)));
        // Known differences: trailing commas are tolerated, duplicate keys and lone surrogates are not.
        let tolerated = cleaned.count("/total/tolerated/trailing_commas") > 0;
        let stricter = codes.iter().any(|code| code.contains("duplicate_key") || code.contains("lone_surrogate"));
        prop_assert!(tolerated || stricter || ours == theirs.is_ok(), "{:?} {:?} {:?}", String::from_utf8_lossy(&line), theirs, codes);
    }

    #[test]
    fn any_bytes_end_as_records_or_rejects_and_no_line_is_lost(lines in vec(prop_oneof![
        Just(b"{\"text\":\"a\"}".to_vec()), Just(b"/*".to_vec()), Just(b"*/".to_vec()), Just(b"{\"text\":\"b\"} /* x".to_vec()),
        Just(b"// c".to_vec()), Just(b"".to_vec()), vec(any::<u8>(), 0..40)], 0..12)) {
        let source = lines.join(&b'\n');
        let cleaned = clean(&source);
        let unended = source.last().is_some_and(|&last| last != b'\n');
        let expected = source.split(|&byte| byte == b'\n').count() - usize::from(!unended);
        prop_assert_eq!(cleaned.count("/total/lines"), expected as u64);
        prop_assert_eq!(cleaned.rejects.lines().count() as u64, cleaned.count("/total/rejected") + cleaned.count("/total/duplicates"));
        prop_assert_eq!(cleaned.records.lines().count() as u64, cleaned.count("/total/kept"));
    }
}
