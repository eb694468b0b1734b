//! Every row format becomes the same record, and every way to get a row wrong has its reason.

use serde_json::{Value, json};

use super::clean_harness::clean;

/// The one record made of a row.
fn record(row: &Value) -> Value {
    let cleaned = clean(row.to_string());
    assert_eq!(cleaned.rejects, "", "{row}");
    cleaned.record_values().remove(0)
}

/// The codes and paths of a row's problems.
fn problems(row: &Value) -> Vec<String> {
    let cleaned = clean(row.to_string());
    assert_eq!(cleaned.records, "", "{row}");
    cleaned.reasons().iter().map(|reason| reason.trim_start_matches("1: data::").to_owned()).collect()
}

fn call_row(tools: &Value, arguments: &Value) -> Value {
    json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "t", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "1", "content": "o"},
        {"role": "assistant", "content": "a"},
    ], "tools": tools})
}

#[test]
fn the_same_conversation_in_four_formats_is_the_same_record() {
    let tools = json!([{"name": "f", "desc": "d", "args_schema": {"x": "int"}}]);
    let trajectory = json!({"instruction": "q", "tools": tools, "final_answer": "a", "trajectory": [
        {"thought": "t", "action": {"tool": "f", "args": {"x": 1}}, "observation": "o"}]});
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]});
    let function = json!({"name": "f", "description": "d", "parameters": schema});
    let openai = call_row(&json!([{"type": "function", "function": function}]), &json!("{\"x\": 1}"));
    let legacy = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "t", "function_call": {"name": "f", "arguments": "{\"x\":1}"}},
        {"role": "function", "name": "f", "content": "o"},
        {"role": "assistant", "content": "a"},
    ], "functions": [function]});
    assert_eq!(record(&trajectory), record(&openai));
    assert_eq!(record(&trajectory), record(&legacy));
    let mut sharegpt = json!({"conversations": [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
        {"from": "observation", "value": "o"},
        {"from": "gpt", "value": "a"},
    ], "tools": json!([function]).to_string()});
    let mut without_thought = record(&trajectory);
    without_thought["conversation"]["turns"][0]["steps"][0].as_object_mut().unwrap().remove("thought");
    assert_eq!(record(&sharegpt), without_thought);
    sharegpt["tools"] = json!([function]);
    for message in sharegpt["conversations"].as_array_mut().unwrap() {
        let (role, content) = (message["from"].take(), message["value"].take());
        *message = json!({"role": role, "content": content});
    }
    assert_eq!(record(&sharegpt), without_thought);
}

#[test]
fn the_shorthand_becomes_json_schema_and_json_schema_stays() {
    let parameters = |schema: Value| {
        let row = json!({"instruction": "q", "tools": [{"name": "f", "args_schema": schema}], "trajectory": [], "final_answer": "a"});
        record(&row)["conversation"]["tools"][0]["parameters"].clone()
    };
    assert_eq!(
        parameters(
            json!({"q": "str", "k?": "Integer", "f": "float ?", "l": "list[str]", "m": "int[]?", "b": "bool", "o": {"y": "any"}, "s": ["number"]})
        ),
        json!({"type": "object", "properties": {
            "q": {"type": "string"}, "k": {"type": "integer"}, "f": {"type": "number"},
            "l": {"type": "array", "items": {"type": "string"}}, "m": {"type": "array", "items": {"type": "integer"}},
            "b": {"type": "boolean"}, "o": {"type": "object", "properties": {"y": {}}, "required": ["y"]},
            "s": {"type": "array", "items": {"type": "number"}}},
            "required": ["q", "l", "b", "o", "s"]})
    );
    for kept in [
        json!({"type": "object", "properties": {"type": {"type": "string"}}, "additionalProperties": false}),
        json!({"$ref": "#/x"}),
        json!({"properties": {}}),
    ] {
        assert_eq!(parameters(kept.clone()), kept);
    }
    let mixed = json!({"city": {"type": "string", "description": "where"}, "unit": {"enum": ["c", "f"]}});
    assert_eq!(parameters(mixed.clone())["properties"], mixed);
    assert_eq!(parameters(json!({})), json!({"type": "object", "properties": {}}));
    let row = json!({"instruction": "q", "tools": [{"name": "f", "args_schema": {}}, {"name": "g"}], "trajectory": [], "final_answer": "a"});
    let twice = format!("{row}\n{}", row.to_string().replace("\"q\"", "\"r\""));
    assert_eq!(clean(twice).count("/total/open_schemas"), 4);
}

#[test]
fn key_order_nulls_and_numbers_of_arguments_are_kept() {
    let tools = json!([{"name": "f"}]);
    let arguments = r#"{"z":null,"a":[1,-0.5,18446744073709551615,-9223372036854775808,1e3,[],{}],"é":"\u00e9\n"}"#;
    let as_text = clean(call_row(&tools, &json!(arguments)).to_string()).records;
    assert!(
        as_text.contains(
            r#""arguments":{"z":null,"a":[1,-0.5,18446744073709551615,-9223372036854775808,1000.0,[],{}],"é":"é\n"}"#
        ),
        "{as_text}"
    );
    let as_object =
        call_row(&tools, &json!(0)).to_string().replace("\"arguments\":0", &format!("\"arguments\":{arguments}"));
    assert_eq!(clean(as_object).records, as_text);
    assert_eq!(
        record(&call_row(&tools, &json!("")))["conversation"]["turns"][0]["steps"][0]["calls"][0]["arguments"],
        json!({})
    );
}

#[test]
fn parallel_calls_get_their_own_observations_and_an_open_end_is_kept() {
    let row = json!({"messages": [
        {"role": "developer", "content": "s"}, {"role": "system", "content": "t"},
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}, {"function": {"name": "g", "arguments": {}}}]},
        {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "x", "function": {"name": "g", "arguments": {}}}]},
    ], "tools": [{"name": "f"}, {"name": "g"}], "tags": ["a"]});
    let conversation = &record(&row)["conversation"];
    assert_eq!(conversation["system"], "s\n\nt");
    assert_eq!(conversation["tags"], json!(["a"]));
    assert_eq!(
        conversation["turns"],
        json!([{"user": "q", "steps": [
        {"calls": [{"name": "f", "arguments": {}, "observation": "1"}, {"name": "g", "arguments": {}, "observation": "2"}]},
        {"calls": [{"name": "g", "arguments": {}}]}]}])
    );
}

#[test]
fn messages_that_do_not_make_turns_are_refused() {
    let user = json!({"role": "user", "content": "q"});
    let answer = json!({"role": "assistant", "content": "a"});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]});
    let reply = json!({"role": "tool", "tool_call_id": "1", "content": "o"});
    let system = json!({"role": "system", "content": "s"});
    let cases = [
        (vec![], "nothing_to_learn messages"),
        (vec![&user], "nothing_to_learn messages"),
        (vec![&user, &user, &answer], "bad_order messages[1]"),
        (vec![&answer, &user, &answer], "bad_order messages[0]"),
        (vec![&user, &answer, &answer], "bad_order messages[2]"),
        (vec![&user, &system, &answer], "bad_order messages[1]"),
        (vec![&user, &reply, &answer], "bad_order messages[1]"),
        (vec![&user, &call, &answer], "unanswered_call messages[1]"),
        (vec![&user, &call, &reply, &reply, &answer], "unknown_call messages[3]"),
    ];
    for (messages, expected) in cases {
        assert_eq!(problems(&json!({"messages": messages, "tools": [{"name": "f"}]})), [expected]);
    }
    let other_id = json!({"role": "tool", "tool_call_id": "2", "content": "o"});
    let row = json!({"messages": [user, call, other_id, answer], "tools": [{"name": "f"}]});
    assert_eq!(problems(&row), ["unknown_call messages[2]", "unanswered_call messages[1]"]);
    let other_name = json!({"role": "tool", "tool_call_id": "1", "name": "g", "content": "o"});
    assert_eq!(
        problems(&json!({"messages": [user, call, other_name, answer], "tools": [{"name": "f"}]})),
        ["unknown_call messages[2]"]
    );
    assert_eq!(problems(&json!({"messages": [user, call, reply, answer]})), ["unknown_tool messages[1]"]);
}

#[test]
fn each_wrong_field_has_its_reason_and_all_are_told() {
    let row = json!({"instruction": 1, "tools": [{"name": "f"}, {"name": "f"}, {"name": " "}, 7], "trajectory": [
        {"thought": 2, "action": {"tool": "g", "args": {}}, "observation": null}, {"observation": ""}, []],
        "final_answer": "  ", "tags": ["a", 1], "accept": "x", "system": {}});
    assert_eq!(
        problems(&row),
        [
            "wrong_type system",
            "wrong_type instruction",
            "duplicate_tool tools[1].name",
            "empty_field tools[2].name",
            "wrong_type tools[3]",
            "wrong_type trajectory[0].thought",
            "wrong_type trajectory[0].observation",
            "unknown_tool trajectory[0].action.tool",
            "missing_field trajectory[1].action",
            "wrong_type trajectory[2]",
            "empty_field final_answer",
            "wrong_type tags[1]",
            "wrong_type accept",
        ]
    );
    let user = json!({"role": "user", "content": "q"});
    let message = |message: Value| problems(&json!({"messages": [user, message], "tools": [{"name": "f"}]}));
    assert_eq!(message(json!({"role": "oracle", "content": "a"})), ["unknown_role messages[1].role"]);
    assert_eq!(message(json!({"role": "assistant"})), ["missing_field messages[1].content"]);
    assert_eq!(message(json!({"role": "assistant", "content": ""})), ["empty_field messages[1]"]);
    assert_eq!(message(json!({"role": "assistant", "content": "a", "weight": 0})), ["unsupported messages[1].weight"]);
    assert_eq!(
        message(json!({"role": "assistant", "content": [{"type": "image_url"}]})),
        ["unsupported messages[1].content[0].type"]
    );
    let arguments = |arguments: Value| problems(&call_row(&json!([{"name": "f"}]), &arguments));
    for bad in [json!("{\"a\": 1,}"), json!("[1]"), json!("{\"a\": 1, \"a\": 2}"), json!("// x\n{}"), json!("nonsense")]
    {
        assert_eq!(arguments(bad), ["bad_arguments messages[1].tool_calls[0].function.arguments"]);
    }
    assert_eq!(arguments(json!([1])), ["wrong_type messages[1].tool_calls[0].function.arguments"]);
    assert_eq!(problems(&json!({"query": "q", "expected": "e"})), ["unknown_format"]);
    assert_eq!(problems(&json!({})), ["unknown_format"]);
    assert_eq!(
        problems(&json!({"instruction": "i", "input": 3, "output": ""})),
        ["wrong_type input", "empty_field output"]
    );
    assert_eq!(
        problems(&json!({"instruction": "i", "output": "o", "history": [["a"], ["", "b"], 1]})),
        ["wrong_type history[0]", "empty_field history[1][0]", "wrong_type history[2]"]
    );
    let from = |from: &str, value: &str| {
        problems(&json!({"conversations": [{"from": "human", "value": "q"}, {"from": from, "value": value}]}))
    };
    assert_eq!(from("function_call", "f()"), ["bad_arguments conversations[1].value"]);
    assert_eq!(from("function_call", "[]"), ["bad_arguments conversations[1].value"]);
    assert_eq!(from("narrator", "x"), ["unknown_role conversations[1].from"]);
    assert_eq!(from("gpt", ""), ["empty_field conversations[1].value"]);
}

#[test]
fn unknown_fields_are_ignored_and_counted() {
    let cleaned = clean(r#"{"text":"a","id":7,"meta":{"b":1}}"#);
    assert_eq!((cleaned.records.as_str(), cleaned.count("/total/ignored_fields")), ("{\"text\":\"a\"}\n", 2));
}
