//! What the `clean` stage promises.

use pipe::stage::{Cancel, StageError, StageKind};
use pipe::stages::clean::{Clean, CleanSettings, Dedupe, OverlapRule};
use pipe::text::record::Record;

use super::clean_harness::{Watcher, clean, clean_all, clean_watched, diagnostics, rejecting};

const TRAJECTORIES: &str = include_str!("../fixtures/jsonl/trajectories.jsonl");
const CHATS: &str = include_str!("../fixtures/jsonl/chats.jsonl");

fn text_row(text: &str) -> String {
    format!("{}\n", serde_json::json!({ "text": text }))
}

#[test]
fn messy_files_give_exactly_the_golden_outputs() {
    let cleaned = clean_all(&[TRAJECTORIES.as_bytes(), CHATS.as_bytes()], &[], &rejecting()).unwrap();
    assert_eq!(cleaned.records, include_str!("../fixtures/jsonl/golden.records.jsonl"));
    assert_eq!(cleaned.rejects, include_str!("../fixtures/jsonl/golden.rejects.jsonl"));
    let statistics: serde_json::Value =
        serde_json::from_str(include_str!("../fixtures/jsonl/golden.statistics.json")).unwrap();
    assert_eq!(cleaned.statistics, statistics);
    assert_eq!(cleaned.dev, None);
}

#[test]
fn every_record_is_what_serde_would_write_for_it() {
    let cleaned = clean_all(&[TRAJECTORIES.as_bytes(), CHATS.as_bytes()], &[], &rejecting()).unwrap();
    for line in cleaned.records.lines() {
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }
}

#[test]
fn the_source_pipelines_sed_destroys_rows_with_a_url_and_clean_keeps_them() {
    let row = r#"{"text":"see https://lms.example.edu/cs101 for more"}"#;
    let as_sed_leaves_it = row.split("//").next().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(as_sed_leaves_it).is_err());
    let cleaned = clean(row);
    assert_eq!(cleaned.record_values()[0]["text"], "see https://lms.example.edu/cs101 for more");
    assert_eq!(cleaned.rejects, "");
}

#[test]
fn comments_count_only_outside_strings() {
    let source = "{\"text\":\"a // b /* c */ d\"} // x\n/* y */ {\"text\" /* z */ : \"e\"} /* u */ // v\n//\n";
    let cleaned = clean(source);
    assert_eq!(cleaned.records, "{\"text\":\"a // b /* c */ d\"}\n{\"text\":\"e\"}\n");
    assert_eq!(
        (cleaned.count("/total/tolerated/line_comments"), cleaned.count("/total/tolerated/block_comments")),
        (3, 3)
    );
}

#[test]
fn everything_tolerated_is_counted() {
    let cleaned = clean("\u{feff}{\"text\":\"a\",}\r\n\r\n  \n{\"text\":\"b\"},\n");
    assert_eq!(cleaned.records, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    let counts = ["byte_order_marks", "crlf_lines", "trailing_commas"];
    assert_eq!(counts.map(|name| cleaned.count(&format!("/total/tolerated/{name}"))), [1, 2, 2]);
    assert_eq!((cleaned.count("/total/blank_lines"), cleaned.count("/total/lines")), (2, 4));
    assert_eq!(clean("\n/* a\nb */\n// c\n{\"text\":\"d\"}").count("/total/lines"), 5);
}

#[test]
fn a_malformed_line_is_rejected_with_its_place_and_the_next_line_is_read() {
    let cleaned = clean("{\"text\":\"a\"}\nNote: stray\n{\"text\" \"é\"}\n{\"text\":\"b\"}");
    assert_eq!(cleaned.records, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    assert_eq!(
        cleaned.rejects,
        concat!(
            r#"{"source":0,"line":2,"reasons":[{"code":"data::stray_text","column":1,"path":"","message":"found `N`; expected a row beginning with `{`, a comment or a blank line"}],"raw":"Note: stray"}"#,
            "\n",
            r#"{"source":0,"line":3,"reasons":[{"code":"data::malformed_json","column":9,"path":"","message":"found `\"`; expected `:`"}],"raw":"{\"text\" \"é\"}"}"#,
            "\n"
        )
    );
}

#[test]
fn all_problems_of_all_rows_are_reported_at_their_places_when_they_fail_the_stage() {
    let result = clean_all(&[TRAJECTORIES.as_bytes(), b"{\"text\":7}\n"], &[], &CleanSettings::default());
    assert_eq!(
        diagnostics(result),
        [
            "source0.jsonl:5:1 data::stray_text found `A`; expected a row beginning with `{`, a comment or a blank line",
            "source0.jsonl:11:16 data::empty_field `instruction`: text is empty; expected at least one letter",
            "source0.jsonl:11:59 data::bad_schema `tools[0].args_schema.q`: type is `strng`; expected `str`, `int`, `float`, `bool`, `list`, `list[str]`, `object`, `any`, with `?` when optional; did you mean `string`?",
            "source0.jsonl:11:84 data::missing_field `trajectory[0].observation`: field is missing; expected a string",
            "source0.jsonl:11:113 data::wrong_type `trajectory[0].action.args`: found `list`; expected an object",
            "source0.jsonl:11:102 data::unknown_tool `trajectory[0].action.tool`: tool is `b`; expected one of the row's tools: `a`",
            "source0.jsonl:11:1 data::missing_field `final_answer`: field is missing; expected a string; is `final_anwser` meant to be it?",
            "source0.jsonl:12:44 data::malformed_json found the end of the line; expected the `\"` that ends the string",
            "source1.jsonl:1:9 data::wrong_type `text`: found `number`; expected a string",
        ]
    );
}

#[test]
fn more_problems_than_fit_a_screen_are_counted() {
    let found = diagnostics(clean_all(&["stray\n".repeat(1000).as_bytes()], &[], &CleanSettings::default()));
    assert_eq!(found.len(), 21);
    assert_eq!(
        found[19],
        "source0.jsonl:20:1 data::stray_text found `s`; expected a row beginning with `{`, a comment or a blank line"
    );
    assert!(found[20].contains("980 more problems"), "{}", found[20]);
}

#[test]
fn duplicates_are_told_by_content_not_by_spelling_across_sources() {
    let first = "{\"text\":\"caf\u{e9} \\/ 1\"}\n{\"text\":\"b\"}\n";
    let second = "// c\n{ \"text\" : \"caf\\u00e9 / 1\" } // d\n{\"text\":\"c\"}\n";
    let cleaned = clean_all(&[first.as_bytes(), second.as_bytes()], &[], &rejecting()).unwrap();
    assert_eq!(cleaned.record_values().len(), 3);
    let reject: serde_json::Value = serde_json::from_str(cleaned.rejects.trim()).unwrap();
    assert_eq!((&reject["source"], &reject["line"]), (&1.into(), &2.into()));
    assert_eq!(reject["first"], serde_json::json!({"source": 0, "line": 1}));
    assert_eq!(cleaned.count("/total/duplicates"), 1);
    let kept = CleanSettings { dedupe: Dedupe::Off, ..rejecting() };
    let cleaned = clean_all(&[first.as_bytes(), second.as_bytes()], &[], &kept).unwrap();
    assert_eq!((cleaned.record_values().len(), cleaned.count("/total/duplicates")), (4, 0));
}

#[test]
fn rows_that_differ_in_the_order_of_arguments_are_not_duplicates() {
    let row = |arguments: &str| {
        format!(
            "{{\"instruction\":\"i\",\"tools\":[{{\"name\":\"t\",\"args_schema\":{{}}}}],\"trajectory\":[{{\"action\":{{\"tool\":\"t\",\"args\":{arguments}}},\"observation\":\"\"}}],\"final_answer\":\"f\"}}\n"
        )
    };
    let cleaned = clean(row(r#"{"a":1,"b":null}"#) + &row(r#"{"b":null,"a":1}"#) + &row(r#"{ "a" : 1, "b":null }"#));
    assert_eq!((cleaned.record_values().len(), cleaned.count("/total/duplicates")), (2, 1));
}

const EXAM: &[u8] = b"// exam\n{\"query\":\"What was ACME's growth?\",\"context\":\"In the third quarter, revenue of ACME grew by 18% to $1.2B.\",\"expected\":\"18%\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"Say hi\"},{\"role\":\"assistant\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":\"yes\"},{\"role\":\"assistant\",\"content\":\"ok\"}]}\n";

#[test]
fn rows_that_give_exam_questions_away_are_left_out_and_the_exam_line_is_named() {
    let source = [
        r#"{"instruction":"what was ACMEs growth","output":"?"}"#,
        r#"{"instruction":"What was acme's GROWTH","output":"18%"}"#,
        r#"{"text":"…: «revenue of ACME grew by 18% to $1» a lot"}"#,
        r#"{"text":"revenue of ACME grew by 18% and then"}"#,
        r#"{"instruction":"say hi!","output":"hi"}"#,
        r#"{"instruction":"yes","output":"fine"}"#,
    ]
    .join("\n");
    let cleaned = clean_all(&[source.as_bytes()], &[EXAM], &rejecting()).unwrap();
    assert_eq!(cleaned.reasons(), ["2: data::overlap", "3: data::overlap", "5: data::overlap"]);
    let rejects: Vec<serde_json::Value> =
        cleaned.rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let held_out = rejects.iter().map(|reject| reject["held_out"]["line"].as_u64()).collect::<Vec<_>>();
    assert_eq!(held_out, [Some(2), Some(2), Some(3)]);
    assert!(
        rejects[1]["reasons"][0]["message"].as_str().unwrap().contains("`revenue of ACME grew by 18% to $1`"),
        "{}",
        rejects[1]
    );
    assert_eq!(
        (cleaned.count("/total/overlaps"), cleaned.count("/held_out/rows"), cleaned.count("/total/rejected")),
        (3, 2, 0)
    );
}

#[test]
fn overlap_can_fail_the_stage_or_be_allowed_and_the_run_of_words_can_be_longer() {
    let source = r#"{"text":"revenue of ACME grew by 18% to $1 or so"}"#.as_bytes();
    let fail = CleanSettings { overlap: OverlapRule::Fail, ..rejecting() };
    let found = diagnostics(clean_all(&[source], &[EXAM], &fail));
    assert!(found[0].starts_with("source0.jsonl:1:1 data::overlap"), "{found:?}");
    for allowed in
        [CleanSettings { overlap: OverlapRule::Off, ..rejecting() }, CleanSettings { overlap_words: 9, ..rejecting() }]
    {
        assert_eq!(clean_all(&[source], &[EXAM], &allowed).unwrap().record_values().len(), 1);
    }
}

#[test]
fn a_held_out_line_that_cannot_be_read_fails_whatever_the_settings() {
    let found =
        diagnostics(clean_all(&[b"{\"text\":\"a\"}"], &[b"{\"query\":\"a\"}\n{\"query\":\n{\"q\":1}"], &rejecting()));
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("exam0.jsonl:2:10 data::malformed_json"), "{found:?}");
    assert!(found[1].starts_with("exam0.jsonl:3:1 data::unknown_format"), "{found:?}");
}

#[test]
fn a_rows_side_of_the_split_depends_on_its_content_and_the_seed_alone() {
    let rows: Vec<String> = (0..400).map(|number| text_row(&format!("row {number}"))).collect();
    let split = |rows: &[String], seed| {
        let settings = CleanSettings { split: 0.25, seed, ..rejecting() };
        let cleaned = clean_all(&[rows.concat().as_bytes()], &[], &settings).unwrap();
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(cleaned.count("/total/dev") + cleaned.count("/total/kept"), rows.len() as u64);
        (sorted(cleaned.records), sorted(cleaned.dev.unwrap()))
    };
    let (train, dev) = split(&rows, 1);
    assert!((60..140).contains(&dev.len()), "{}", dev.len());
    let mut shuffled = rows.clone();
    shuffled.reverse();
    assert_eq!(split(&shuffled, 1), (train, dev.clone()));
    let (_, half) = split(&rows[..200], 1);
    assert!(half.iter().all(|row| dev.contains(row)));
    assert_ne!(split(&rows, 2).1, dev);
}

#[test]
fn outputs_do_not_depend_on_threads() {
    let source: String = (0..30_000)
        .map(|number| match number % 7 {
            0 => format!("stray {number}\n"),
            1 => text_row(&format!("twice {}", number % 70)),
            _ => text_row(&format!("row {number} {}", "word ".repeat(number % 50))),
        })
        .collect();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| clean_all(&[source.as_bytes()], &[], &CleanSettings { split: 0.1, ..rejecting() }).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert!(
        one.count("/total/duplicates") > 4000 && one.count("/total/rejected") > 4000 && one.count("/total/dev") > 1000
    );
}

#[test]
fn only_a_split_writes_the_other_side_and_settings_are_checked() {
    assert!(!Clean::writes(&CleanSettings::default(), "dev"));
    assert!(Clean::writes(&CleanSettings { split: 0.1, ..CleanSettings::default() }, "dev"));
    for split in [-0.1, 1.0, f64::NAN] {
        assert_eq!(Clean::check(&CleanSettings { split, ..CleanSettings::default() }).len(), 1, "{split}");
    }
    assert_eq!(Clean::check(&CleanSettings { overlap_words: 0, ..CleanSettings::default() }).len(), 1);
    assert_eq!(Clean::check(&CleanSettings::default()), []);
}

#[test]
fn progress_is_told_in_bytes_and_a_request_to_stop_stops() {
    let source = text_row(&"word ".repeat(1000)).repeat(1000);
    let watcher = Watcher::default();
    clean_watched(&[source.as_bytes(), source.as_bytes()], &[], &rejecting(), &watcher, Cancel::default()).unwrap();
    let progress = watcher.0.lock().unwrap().clone();
    let total = 2 * source.len() as u64;
    assert!(progress.len() >= 8 && progress.is_sorted_by_key(|progress| progress.done));
    assert_eq!(progress.last().map(|last| (last.done, last.total, last.unit)), Some((total, Some(total), "bytes")));
    let cancel = Cancel::default();
    cancel.request();
    let result = clean_watched(&[source.as_bytes()], &[], &rejecting(), &Watcher::default(), cancel);
    assert!(matches!(result, Err(StageError::Cancelled)), "{result:?}");
}

#[test]
fn no_output_names_a_label_or_a_path() {
    let cleaned = clean_all(&[b"x\n{\"text\":\"a\"}\n{\"text\":\"a\"}\n"], &[EXAM], &rejecting()).unwrap();
    for output in [&cleaned.records, &cleaned.rejects, &cleaned.statistics.to_string()] {
        assert!(!output.contains("source0") && !output.contains("exam0") && !output.contains("/tmp"), "{output}");
    }
}
