//! Bad bytes are refused with a reason: never a panic, a hang, a lost line, or memory that grows with the file.

use super::clean_harness::{clean, clean_all, clean_file, rejecting};

const GOOD: &str = "{\"text\":\"good\"}\n";

/// The reasons when a line stands between good rows, both of which must survive.
fn reasons(line: &[u8]) -> Vec<String> {
    let source = [b"{\"text\":\"before\"}\n", line, b"\n", GOOD.as_bytes()].concat();
    let cleaned = clean(&source);
    assert_eq!(cleaned.records, "{\"text\":\"before\"}\n{\"text\":\"good\"}\n", "{:?}", String::from_utf8_lossy(line));
    cleaned.reasons()
}

#[test]
fn every_sort_of_bad_line_is_refused_and_its_neighbours_survive() {
    let cases: [(&[u8], &str); 26] = [
        (b"{\"text\":\"a\xff\"}", "invalid_utf8"),
        (b"\xff\xfe{\0", "invalid_utf8"),
        (b"{\"text\":\"a\0b\"}", "control_character"),
        (b"{\"text\":\"a\tb\"}", "control_character"),
        (b"\0", "stray_text"),
        (b"[{\"text\":\"a\"}]", "stray_text"),
        (b"text /* opens nothing", "stray_text"),
        (b"{\"text\":\"a\\ud800\"}", "lone_surrogate"),
        (b"{\"text\":\"a\\udc00\\ud800\"}", "lone_surrogate"),
        (b"{\"text\":\"a\\ud800\\u0041\"}", "lone_surrogate"),
        (b"{\"text\":\"a\\x\"}", "bad_escape"),
        (b"{\"text\":\"a\\u12g4\"}", "bad_escape"),
        (b"{\"text\":\"a\\u12", "bad_escape"),
        (b"{\"text\":\"a\\", "bad_escape"),
        (b"{\"text\":\"a", "malformed_json"),
        (b"{\"text\":\"a\"", "malformed_json"),
        (b"{\"text\":\"a\"}}", "malformed_json"),
        (b"{\"text\":\"a\"} {\"text\":\"b\"}", "malformed_json"),
        (b"{\"text\":\"a\",,}", "malformed_json"),
        (b"{\"text\":01}", "malformed_json"),
        (b"{\"text\":NaN}", "malformed_json"),
        (b"{\"text\":\"a\" / \"b\"}", "malformed_json"),
        (b"{\"text\":\"a\",\"text\":\"b\"}", "duplicate_key"),
        (b"{\"text\":\"a\",\"x\":{\"\\u0061\":1,\"b\":2,\"a\":3}}", "duplicate_key"),
        (b"{\"text\":\"a\",\"n\":18446744073709551616}", "number_out_of_range"),
        (b"{\"text\":\"a\",\"n\":1e999}", "number_out_of_range"),
    ];
    for (line, code) in cases {
        assert_eq!(reasons(line), [format!("2: data::{code}")], "{:?}", String::from_utf8_lossy(line));
    }
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    for open in ["[", "{\"a\":"] {
        let line = format!("{{\"text\":\"a\",\"x\":{}", open.repeat(100_000));
        assert_eq!(reasons(line.as_bytes()), ["2: data::too_deep"]);
        let arguments = serde_json::Value::from(open.repeat(100_000)).to_string();
        let call = format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":\"q\"}},{{\"role\":\"assistant\",\"function_call\":{{\"name\":\"f\",\"arguments\":{arguments}}}}}]}}"
        );
        assert_eq!(reasons(call.as_bytes()), ["2: data::bad_arguments messages[1].function_call.arguments"]);
    }
}

#[test]
fn the_deepest_rows_that_are_accepted_can_be_read_again() {
    let row = |depth: usize, list: &str| {
        let (open, close) = (list.repeat(depth), "]".repeat(depth));
        format!(
            "{{\"instruction\":\"i\",\"tools\":[{{\"name\":\"f\"}}],\"trajectory\":[{{\"action\":{{\"tool\":\"f\",\"args\":{{\"x\":{open}{close}}}}},\"observation\":\"\"}}],\"final_answer\":\"a\"}}"
        )
    };
    let deepest = (1..200).rev().find(|depth| clean(row(*depth, "[")).rejects.is_empty()).unwrap();
    let record = clean(row(deepest, "[")).records;
    assert!(deepest > 90 && serde_json::from_str::<serde_json::Value>(&record).is_ok(), "{deepest}");
    let shorthand = |depth: usize| {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!(
            "{{\"instruction\":\"i\",\"tools\":[{{\"name\":\"f\",\"args_schema\":{open}\"str\"{close}}}],\"trajectory\":[],\"final_answer\":\"a\"}}"
        )
    };
    assert_eq!(clean(shorthand(9)).rejects, "");
    assert_eq!(clean(shorthand(10)).reasons().len(), 1);
}

#[test]
fn an_object_with_many_keys_takes_no_quadratic_time() {
    let keys = (0..200_000).map(|number| format!("\"key{number}\":1,")).collect::<Vec<_>>().concat();
    let cleaned = clean(format!("{{{keys}\"text\":\"a\"}}\n{{{keys}\"key7\":1}}\n"));
    assert_eq!((cleaned.record_values().len(), cleaned.reasons()), (1, vec!["2: data::duplicate_key".to_owned()]));
}

#[test]
fn a_line_beyond_the_limit_is_refused_with_its_length_and_cut() {
    let long = format!("{{\"text\":\"{}\"}}", "é".repeat(9 << 20));
    let source = format!("{GOOD}{long}\n{{\"text\":\"after\"}}\n{long}");
    let cleaned = clean(&source);
    assert_eq!(cleaned.reasons(), ["2: data::line_too_long", "4: data::line_too_long"]);
    assert_eq!((cleaned.record_values().len(), cleaned.count("/total/lines")), (2, 4));
    for line in cleaned.rejects.lines() {
        let reject: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(reject["raw_bytes"], long.len());
        assert!(long.starts_with(reject["raw"].as_str().unwrap()) && line.len() < 17_000);
    }
}

#[test]
fn a_row_just_below_the_limit_is_kept_and_a_long_reject_is_cut_at_a_character() {
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat((16 << 20) - 11));
    assert_eq!(clean(&long).records.len(), long.len() + 1);
    assert_eq!(clean(format!("{long} ")).reasons(), ["1: data::line_too_long"]);
    for (start, length) in [("", 16 << 10), ("x", (16 << 10) - 1)] {
        let stray = format!("{start}{}", "é".repeat(10_000));
        let reject: serde_json::Value = serde_json::from_str(clean(&stray).rejects.trim()).unwrap();
        assert_eq!(reject["raw"].as_str(), Some(&stray[..length]));
        assert_eq!(reject["raw_bytes"], stray.len());
    }
}

#[test]
fn a_block_comment_over_lines_hides_rows_only_outside_a_row() {
    let cleaned = clean(
        "{\"text\":\"a\"} /* one\n{\"text\":\"hidden\"}\n two */ {\"text\":\"b\"} // x\nbad\n/**//*/*/{\"text\":\"c\"}\n",
    );
    assert_eq!(cleaned.records, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    assert_eq!(cleaned.reasons(), ["4: data::stray_text"]);
    assert_eq!(cleaned.count("/total/tolerated/block_comments"), 3);
    let cleaned = clean("{\"text\" /* one\ntwo */ : \"a\"}\n{\"text\":\"b\"}\n");
    assert_eq!(cleaned.records, "{\"text\":\"b\"}\n");
    assert_eq!(cleaned.reasons(), ["1: data::unclosed_comment", "2: data::stray_text"]);
}

#[test]
fn columns_behind_a_block_comment_are_those_of_the_whole_line() {
    let cleaned = clean("/* é\né */ bad\n");
    assert!(
        cleaned.rejects.starts_with(r#"{"source":0,"line":2,"reasons":[{"code":"data::stray_text","column":6,"#),
        "{}",
        cleaned.rejects
    );
}

#[test]
fn a_block_comment_that_never_ends_hides_nothing() {
    let source = format!(
        "{{\"text\":\"a\"}} /* never\n{GOOD}/* again {{\"text\":\"x\"}}\n{{\"text\":\"b /* c\"}}\n{{\"text\":\"d\"}} /*"
    );
    let cleaned = clean(source);
    assert_eq!(cleaned.records, "{\"text\":\"a\"}\n{\"text\":\"good\"}\n{\"text\":\"b /* c\"}\n{\"text\":\"d\"}\n");
    let reasons = ["1: data::unclosed_comment", "3: data::unclosed_comment", "5: data::unclosed_comment"];
    assert_eq!(cleaned.reasons(), reasons);
}

#[test]
fn a_huge_block_comment_and_many_small_ones_take_linear_time() {
    let filler = "* not the end / \"\n".repeat(200_000);
    let cleaned = clean(format!("/*{filler}*/{GOOD}bad\n"));
    assert_eq!((cleaned.records.as_str(), cleaned.reasons()), (GOOD, vec!["200002: data::stray_text".to_owned()]));
    let cleaned = clean("/*\n*/\n".repeat(100_000) + GOOD);
    assert_eq!((cleaned.records.as_str(), cleaned.count("/total/lines")), (GOOD, 200_001));
    let opened = format!("{GOOD}/* x\n").repeat(100_000);
    assert_eq!(clean(opened).count("/total/reasons/data::unclosed_comment"), 100_000);
}

#[test]
fn comment_ends_are_found_across_every_boundary_of_reads() {
    for shift in 0..8 {
        let filler = "x".repeat((256 << 10) - 6 + shift);
        let cleaned = clean(format!("/*{filler}\n**/{GOOD}/*/\n{filler}*/\n{{\"text\":\"end\"}}"));
        assert_eq!(cleaned.records, format!("{GOOD}{{\"text\":\"end\"}}\n"), "{shift}");
        assert_eq!(cleaned.rejects, "");
    }
}

#[test]
fn empty_files_and_odd_ends_are_fine() {
    for (source, rows) in [
        ("", 0),
        ("\n", 0),
        ("\u{feff}", 0),
        ("{\"text\":\"a\"}", 1),
        ("{\"text\":\"a\"}\r", 1),
        ("/*\n*/", 0),
        ("\r\n\r\n", 0),
    ] {
        let cleaned = clean(source);
        assert_eq!((cleaned.record_values().len(), cleaned.rejects.as_str()), (rows, ""), "{source:?}");
    }
    assert_eq!(clean_all(&[b"", b""], &[b""], &rejecting()).unwrap().records, "");
}

#[test]
fn truncating_a_file_anywhere_costs_at_most_the_row_that_was_cut() {
    let source = include_str!("../fixtures/jsonl/chats.jsonl");
    let whole = clean(source).records;
    for end in (0..source.len()).step_by(7) {
        let cleaned = clean(&source.as_bytes()[..end]);
        assert!(whole.starts_with(&cleaned.records), "{end}");
        assert!(cleaned.rejects.lines().count() <= 1, "{end}");
    }
}

#[test]
fn memory_does_not_grow_with_the_file() {
    // The peak is that of a whole process, so the work is done in one of its own.
    let module = module_path!().split_once("::").map_or("", |(_, module)| module);
    let name = format!("{module}::cleaning_150_mib_stays_below_96_mib");
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by memory_does_not_grow_with_the_file in a process of its own"]
fn cleaning_150_mib_stays_below_96_mib() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for number in 0..15_000 {
        let text = format!("{} ", number % 5000).repeat(1500);
        std::io::Write::write_all(&mut file, format!("{{\"text\":\"{text}\"}}\nstray {text}\n").as_bytes()).unwrap();
    }
    std::io::Write::flush(&mut file).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 150 << 20);
    let outcome = clean_file(&path, &rejecting()).unwrap();
    assert_eq!((&outcome.metrics["kept"], &outcome.metrics["duplicates"]), (&5000.into(), &10_000.into()));
    assert!(peak_memory() < 96 << 20, "{} bytes", peak_memory());
}

/// The peak of this process in bytes; 0 where the system does not tell, which no limit minds.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}
