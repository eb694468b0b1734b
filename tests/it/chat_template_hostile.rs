//! Templates that mean harm, or are simply broken: each ends in an error, soon.

use std::fs;

use pipe::text::chat_template::{ChatTemplate, SpecialTokens, TemplateError};
use pipe::text::messages::Message;

fn render(source: &str) -> Result<String, TemplateError> {
    let template = ChatTemplate::from_source(source, &SpecialTokens::default())?;
    template.render(&[Message::new("user", "hello")], &[], true)
}

#[test]
fn work_and_output_without_end_are_stopped() {
    let sources = [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(99999) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ 'x' * 99999999999 }}",
        "{{ messages[0].content | replace('', 'x' * 10000) * 100000 }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ range(99999) | list | tojson(indent=64) | replace(' ', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}{{ 1 / 0 }}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% for i in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
        "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(x) %}{% call g(x) %}{{ f(x) }}{% endcall %}{% endmacro %}{% macro g(x) %}{{ caller() }}{% endmacro %}{{ f(1) }}",
        "{% set ns = namespace(f=1) %}{% macro f() %}{{ ns.f() }}{% endmacro %}{% set ns.f = f %}{{ f() }}",
        "{% for i in range(10 ** 12) %}{% endfor %}",
        "{{ 10 ** 10 ** 10 }}",
        "{% for i in range(99999) %}{{ messages | tojson }}{{ range(9999) | join }}{% endfor %}",
        "{{ messages[0].content.replace('', 'x' * 1000000).replace('', 'x' * 1000000) }}",
        "{{ messages[0].content.replace('l', 'x' * 3000000).split('x') | length }}{{ 1 / 0 }}",
        "{% for i in range(99999) %}{{ ('x' * 30000).join(range(99999)) | length }}{% endfor %}",
        "{{ ('x' * 1000000).join('y' * 1000000) }}",
        "{{ '{:>99999999999}'.format(1) }}",
        "{{ 'x'.ljust(99999999999) }}",
        "{{ ('x' * 30000000).split('x') | length }}{{ range(99999) | map('upper') | list }}{{ 1 / 0 }}",
    ];
    for source in sources {
        assert!(render(source).is_err(), "{source}");
    }
    let doubled = "{% set x = x + x %}".repeat(60);
    assert!(render(&format!("{{% set x = [1] %}}{doubled}")).is_err());
    let doubled = "{% with x = x + x %}".repeat(60);
    assert!(render(&format!("{{% set x = [1] %}}{doubled}{}", "{% endwith %}".repeat(60))).is_err());
    assert!(render("{% macro f(x) %}{{ f(x + x) }}{% endmacro %}{{ f([1]) }}").is_err());
    let shared = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    assert!(render(&format!("{shared}{{{{ ns.x == ns.x }}}}")).is_err());
}

#[test]
fn values_nested_without_end_are_refused() {
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    for end in ["{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x ~ 'a' }}", "{{ ns.x == [] }}", ""] {
        assert!(render(&format!("{nested}{end}")).is_err(), "{end}");
    }
    let looped = "{% set ns = namespace() %}{% set ns.x = ns %}";
    for end in ["{{ ns }}", "{{ ns | tojson }}", "{{ ns ~ 'a' }}", "{{ ns == ns }}", ""] {
        assert!(render(&format!("{looped}{end}")).is_err(), "{end}");
    }
}

#[test]
fn what_is_no_template_is_refused_with_a_line() {
    let sources = [
        "{% for %}",
        "{{",
        "{% if x %}",
        "{{ x | }}",
        "{% endfor %}",
        "{{ 'a }}",
        "{% generation %}",
        "{% include 'x' %}",
        "{{ raise_exception('no') }}",
        "{{ undefined_function() }}",
        "{{ x | unknown_filter }}",
        "{{ messages.x.y }}",
    ];
    for source in sources {
        assert!(render(&format!("\n{source}")).is_err(), "{source}");
    }
    let error = render("a\n{% for %}").expect_err("no template");
    assert!(matches!(error, TemplateError::Syntax { line: 2, .. }), "{error}");
    assert!(matches!(render("{{ raise_exception('no') }}"), Err(TemplateError::Raised(why)) if why == "no"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(render(&deep).is_err());
    let deep = "{% if true %}".repeat(50_000);
    assert!(render(&deep).is_err());
    assert!(matches!(render(&" ".repeat((1 << 20) + 1)), Err(TemplateError::TooLong(_))));
}

#[test]
fn a_template_of_ten_megabytes_is_refused_wherever_it_comes_from() {
    let huge = "{% if true %}x{% endif %}".repeat((10 << 20) / 25);
    assert!(huge.len() > 10_000_000);
    assert!(matches!(render(&huge), Err(TemplateError::TooLong(bytes)) if bytes == huge.len()));
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("chat_template.jinja"), &huge).expect("write");
    assert!(matches!(ChatTemplate::load(&folder.path().into()), Err(TemplateError::TooLong(_))));
    fs::remove_file(folder.path().join("chat_template.jinja")).expect("removed");
    let config = serde_json::json!({ "chat_template": huge }).to_string();
    fs::write(folder.path().join("tokenizer_config.json"), config).expect("write");
    assert!(matches!(ChatTemplate::load(&folder.path().into()), Err(TemplateError::TooLong(_))));
}

#[test]
fn chains_that_would_overflow_the_stack_are_refused_with_a_line() {
    let chains = [
        format!("{{{{ {}1 }}}}", "1 + ".repeat(200_000)),
        format!("{{{{ x{} }}}}", "|upper".repeat(150_000)),
        format!("{{{{ x{} }}}}", ".a".repeat(400_000)),
        format!("{{{{ {}x", "not ".repeat(200_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(80_000)),
        format!("{{% set x = 1{} %}}", " if x else 1".repeat(80_000)),
    ];
    for chain in &chains {
        let error = render(&format!("a\n{chain}")).expect_err("too deep");
        assert!(matches!(error, TemplateError::Syntax { line: 2, .. }), "{error}");
    }
    // As deep as is allowed, on a thread with the stack of a worker.
    let deep = [
        format!("{{{{ 1{} }}}}", " + 1".repeat(998)),
        format!("{{{{ 'x'{} }}}}", "|upper".repeat(998)),
        format!("{{{{ messages{} }}}}", "[0]".repeat(998)),
        format!("{{{{ {}x }}}}", "not ".repeat(998)),
        format!("{{{{ 1{} }}}}", " if 0 else 1".repeat(499)),
        format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}".repeat(999)),
    ];
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || deep.iter().for_each(|source| drop(render(source))))
        .expect("a thread")
        .join()
        .expect("no panic");
    // What is long and flat only takes its time.
    for part in ["{{ x }}", "{% if a %}b{% endif %}", "{% set a = 1 %}"] {
        let _ = render(&part.repeat((1 << 20) / part.len()));
    }
}

#[test]
fn an_empty_conversation_is_refused() {
    let template = ChatTemplate::from_source("x", &SpecialTokens::default()).expect("a template");
    assert!(matches!(template.render(&[], &[], true), Err(TemplateError::NoMessages)));
}

#[test]
fn a_folder_names_its_template_in_three_ways_and_the_jinja_file_wins() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("write");
    let load = || ChatTemplate::load(&folder.path().into()).map(|template| template.source().to_owned());
    assert!(matches!(load(), Err(TemplateError::Missing(_))));
    write("tokenizer_config.json", r#"{"chat_template":"one","eos_token":{"content":"</s>","special":true}}"#);
    assert_eq!(load().expect("a template"), "one");
    write(
        "tokenizer_config.json",
        r#"{"chat_template":[{"name":"rag","template":"no"},{"name":"default","template":"two"}],"bos_token":null}"#,
    );
    assert_eq!(load().expect("a template"), "two");
    write("chat_template.jinja", "{{ eos_token }}{{ bos_token }}");
    write("special_tokens_map.json", r#"{"eos_token":{"content":"</s>"},"bos_token":"<s>"}"#);
    let template = ChatTemplate::load(&folder.path().into()).expect("a template");
    assert_eq!(template.render(&[Message::new("user", "x")], &[], false).expect("text"), "</s>");
    for bad in ["", "[]", "{", "{\"chat_template\":1}", "{\"chat_template\":[{\"name\":\"x\",\"template\":\"y\"}]}"] {
        fs::remove_file(folder.path().join("chat_template.jinja")).ok();
        write("tokenizer_config.json", bad);
        assert!(matches!(load(), Err(TemplateError::Folder { .. })), "{bad}");
    }
}
