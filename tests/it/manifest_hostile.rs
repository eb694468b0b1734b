//! Bytes that mean harm, or nothing: reading and planning them ends, without a panic, in diagnostics that can be shown.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::manifest_invalid::fixtures;
use crate::manifest_kinds::{KINDS, rendered};
use pipe::artifact::Content;
use pipe::diagnostic::Diagnostic;
use pipe::digest::Digest;
use pipe::manifest;
use pipe::plan::{Plan, Planner};
use pipe::surroundings::Bare;

/// Reads, plans and, when there are any, renders the diagnostics; checks that every span lies in its text.
fn plan(bytes: &[u8]) -> Result<Plan, Vec<Diagnostic>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let digest = |_: &Path| Ok(Content::File(Digest::of(b"")));
    let result = manifest::read("hostile.yaml", bytes, &[]).and_then(|manifest| {
        Planner { kinds: &KINDS, project: root, fetched: &|_| None, pinned: &|_| None, digest: &digest, machine: &Bare }
            .plan(&manifest)
    });
    if let Err(diagnostics) = &result {
        assert!(!diagnostics.is_empty(), "a refusal says why");
        assert!(!rendered(diagnostics).is_empty());
        for diagnostic in diagnostics {
            let text = diagnostic.source.as_ref().map_or("", |source| &source.text);
            for label in &diagnostic.labels {
                let end = label.span.offset + label.span.length;
                assert!(text.get(label.span.offset..end).is_some(), "{diagnostic:?} points outside of its text");
            }
        }
    }
    result
}

fn refusal(bytes: &[u8]) -> Vec<Diagnostic> {
    plan(bytes).err().expect("refused")
}

fn first(bytes: &[u8]) -> (&'static str, String) {
    let diagnostic = refusal(bytes).remove(0);
    (diagnostic.code, diagnostic.message)
}

/// A text of many parts.
fn repeat(count: usize, part: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for at in 0..count {
        text.push_str(&part(at));
    }
    text
}

#[test]
fn nesting_is_bounded_in_every_style() {
    let block = repeat(2_000, |depth| format!("{}a:\n", " ".repeat(depth)));
    let flow_maps = format!("{}1", "{a: ".repeat(50_000));
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), flow_maps, block] {
        let (code, message) = first(text.as_bytes());
        assert_eq!(code, "manifest::too_large", "{message}");
        assert_eq!(message, "the nesting is too deep; expected at most 32 levels");
    }
}

#[test]
fn aliases_do_not_multiply_without_bound() {
    let list = |name: &str, item: &str| format!("{name}: &{name} [{}]\n", [item; 9].join(", "));
    let mut bomb = list("a0", "x");
    for level in 1..12 {
        bomb.push_str(&list(&format!("a{level}"), &format!("*a{}", level - 1)));
    }
    assert_eq!(first(bomb.as_bytes()).0, "manifest::too_large");
    let map = |level: usize| format!("b{level}: &b{level} {{ x{level}: 1, <<: [*b{0}, *b{0}, *b{0}] }}\n", level - 1);
    let merges = format!("b0: &b0 {{ x0: 1 }}\n{}", repeat(399, |at| map(at + 1)));
    assert_eq!(first(merges.as_bytes()).0, "manifest::too_large");
    let many = repeat(5_000, |at| format!("k{at}: *a\n"));
    assert_eq!(first(format!("a: &a 1\n{many}").as_bytes()).0, "manifest::too_large");
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(first(&vec![b'#'; 10 << 20]).0, "manifest::too_large");
    let scalar = format!("version: 1\nname: \"{}\"\nstages: {{}}\n", "x".repeat(1 << 20));
    assert_eq!(first(scalar.as_bytes()).0, "manifest::too_large");
    let keys = repeat(300_000, |at| format!("k{at}: 1\n"));
    assert_eq!(first(keys.as_bytes()).0, "manifest::too_large");
}

#[test]
fn a_flood_of_mistakes_is_counted_and_not_described_one_by_one() {
    let stages =
        repeat(5_000, |at| format!("  s{at}: {{ uses: clean, in: {{ sources: [nothing{at}, other{at}.slot] }} }}\n"));
    let diagnostics = refusal(format!("version: 1\nname: flood\nstages:\n{stages}").as_bytes());
    assert_eq!(diagnostics.len(), 101);
    assert_eq!(diagnostics[100].message, "and 9900 more errors");
}

#[test]
fn a_long_cycle_and_a_long_chain_need_no_deep_stack() {
    let count = 5_000;
    let chain = |last: usize| -> String {
        let model = |at: usize| if at == 0 { format!("s{last}.model") } else { format!("s{}.model", at - 1) };
        let stage = |at: usize| format!("  s{at}: {{ uses: merge, in: {{ model: {}, adapter: base }} }}\n", model(at));
        repeat(count, stage)
    };
    let text = |stages: String| format!("version: 1\nname: long\ninputs: {{ base: src }}\nstages:\n{stages}");
    let cycle = refusal(text(chain(count - 1)).as_bytes());
    let cycle = cycle.iter().find(|diagnostic| diagnostic.code == "manifest::cycle").expect("a cycle");
    assert!(cycle.message.ends_with("… (4900 more) → `s0`"), "{}", cycle.message);
    let open = text(chain(count - 1).replacen("s4999.model", "base", 1));
    assert_eq!(plan(open.as_bytes()).map_or(0, |plan| plan.order().len()), count);
}

#[test]
fn bytes_that_are_no_text_say_where() {
    let (code, message) = first(b"version: 1\nname: \xff\xfe\n");
    assert_eq!((code, message.as_str()), ("manifest::not_utf8", "byte `0xff` is not UTF-8"));
    let position = refusal(b"version: 1\nname: \xff\xfe\n")[0].location();
    assert_eq!(position.as_deref(), Some("hostile.yaml:2:7"));
    assert_eq!(first(b"version: 1\nname: a\0b\n").0, "manifest::syntax");
    assert_eq!(first(b"\xff\xfev\0e\0").0, "manifest::not_utf8", "UTF-16");
    assert_eq!(first(b"").0, "manifest::empty");
    assert_eq!(first(b"\xef\xbb\xbf").0, "manifest::empty");
    assert_eq!(first(b"version: 1\n\tname: x\n").0, "manifest::syntax");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let (_, path) = fixtures("valid").into_iter().find(|(name, _)| name == "as-json.yaml").expect("a fixture");
    let unix = fs::read_to_string(path).expect("fixture").replace("data/raw.jsonl", "Cargo.toml").replace(", ", ",\n ");
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    let id = |text: &str| plan(text.as_bytes()).map(|plan| plan.id()).map_err(|errors| rendered(&errors));
    assert_eq!(id(&unix), id(&windows));
    assert!(id(&unix).is_ok(), "{:?}", id(&unix));
    let wrong = |text: &str| refusal(text.replace("\"clean\"", "\"claen\"").as_bytes())[0].location();
    assert_eq!(wrong(&unix), wrong(&windows));
}

/// The bytes of every fixture, to start from.
fn seeds() -> Vec<Vec<u8>> {
    let folders = ["valid", "invalid"];
    folders.iter().flat_map(|folder| fixtures(folder)).map(|(_, path)| fs::read(path).expect("fixture")).collect()
}

/// What YAML and this grammar give a meaning to.
const PIECES: &[&str] = &[
    "",
    "\0",
    "\t",
    "\r\n",
    "\u{feff}",
    "é",
    "\u{1f600}",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "<<: *a",
    "? ",
    "|\n ",
    ">-\n ",
    "!!str ",
    "!!float ",
    "!x ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "#",
    "\"",
    "'",
    "\\x00",
    "${",
    "${params.lr}",
    "$${",
    ".nan",
    "-.inf",
    "1e999",
    "0x",
    "~",
    "null",
    "true",
    "99999999999999999999",
    "../",
    "/",
    ".",
    "clean.records",
    "train",
    "in: ",
    "with: ",
    "uses: ",
    "matrix: ",
    "\n",
    "\n  ",
    "\u{2028}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = plan(&bytes);
    }

    #[test]
    fn damaged_manifests_never_panic(which in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, 0_usize..PIECES.len()), 1..6)) {
        let seeds = seeds();
        let mut bytes = which.get(&seeds).clone();
        for (at, removed, piece) in edits {
            let at = if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, PIECES[piece].bytes());
        }
        let _ = plan(&bytes);
    }

    #[test]
    fn overrides_never_panic(name in "[a-z.=]{0,4}", value in "\\PC{0,30}") {
        let text = "version: 1\nname: x\nparams: { a: 1, b: 0.5, c: t, d: [1], e: true, f: ~ }\nstages: { clean: {} }\n";
        if let Ok(given) = format!("{name}={value}").parse() {
            let manifest = manifest::read("m.yaml", text.as_bytes(), &[given]).expect("the manifest is readable");
            prop_assert!(!rendered(&manifest.problems()).is_empty(), "the params are not used");
        }
    }
}
