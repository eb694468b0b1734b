//! An evaluation row as the conversation that the model is to go on with.
//!
//! With `retrieve`, a row with context is the trajectory that the model was trained on: the user asks, the assistant
//! has called the retrieval tool with the question, the context came back. A row without context is asked directly, and
//! no tool is shown, since nothing could answer its call. With `user`, the context stands before the question in the
//! user's message: what a base model understands that has never seen the tool.

use serde_json::{Value, json};

use super::settings::EvalSettings;
use crate::text::eval_report::ContextAs;
use crate::text::eval_rows::EvalRow;
use crate::text::record::{Call, Conversation, Step, ToolSpec, Turn};

/// The conversation of a row, without its answer.
pub(super) fn conversation(settings: &EvalSettings, row: &EvalRow) -> Conversation {
    let Some(context) = &row.context else { return asked(row.query.clone()) };
    match settings.context_as {
        ContextAs::User => asked(format!("{context}\n\n{}", row.query)),
        ContextAs::Retrieve => retrieved(settings, &row.query, context),
    }
}

fn asked(user: String) -> Conversation {
    Conversation { turns: vec![Turn { user, ..Turn::default() }], ..Conversation::default() }
}

fn retrieved(settings: &EvalSettings, query: &str, context: &str) -> Conversation {
    let call = Call {
        name: settings.tool_name.clone(),
        arguments: json!({ "query": query }),
        observation: Some(context.to_owned()),
    };
    let tool = ToolSpec {
        name: settings.tool_name.clone(),
        description: settings.tool_description.clone(),
        parameters: query_parameter(),
    };
    let step = Step { calls: vec![call], ..Step::default() };
    let turn = Turn { user: query.to_owned(), steps: vec![step], answer: None };
    Conversation { tools: vec![tool], turns: vec![turn], ..Conversation::default() }
}

/// The schema of `{"query": "str"}`.
fn query_parameter() -> Value {
    json!({ "type": "object", "properties": { "query": { "type": "string" } }, "required": ["query"] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::formats::{LastTools, Problems, RecordWriter, convert};
    use crate::text::jsonl::{Notes, Tape, parse_line};
    use crate::text::record::Record;

    fn row(context: Option<&str>) -> EvalRow {
        EvalRow { query: "How much?".to_owned(), context: context.map(str::to_owned), ..EvalRow::default() }
    }

    #[test]
    fn a_context_is_what_the_tool_returned() {
        let conversation = conversation(&EvalSettings::default(), &row(Some("18%")));
        assert_eq!(conversation.tools[0].name, "retrieve");
        let turn = &conversation.turns[0];
        assert_eq!((turn.user.as_str(), turn.answer.as_deref()), ("How much?", None));
        let call = &turn.steps[0].calls[0];
        assert_eq!(call.arguments, json!({ "query": "How much?" }));
        assert_eq!((call.name.as_str(), call.observation.as_deref()), ("retrieve", Some("18%")));
    }

    #[test]
    fn without_context_the_question_stands_alone_and_no_tool_is_shown() {
        for context_as in [ContextAs::Retrieve, ContextAs::User] {
            let settings = EvalSettings { context_as, ..EvalSettings::default() };
            assert_eq!(conversation(&settings, &row(None)), asked("How much?".to_owned()));
        }
    }

    #[test]
    fn as_user_the_context_stands_before_the_question() {
        let settings = EvalSettings { context_as: ContextAs::User, ..EvalSettings::default() };
        assert_eq!(conversation(&settings, &row(Some("18%"))), asked("18%\n\nHow much?".to_owned()));
    }

    /// What `clean` makes of a row of the source format.
    fn cleaned(row: &str) -> Conversation {
        let (mut tape, mut problems) = (Tape::default(), Problems::default());
        parse_line(row, &mut tape, &mut Notes::default()).expect("JSON");
        let (mut record, mut passages) = (Vec::new(), Vec::new());
        let root = tape.root(row).expect("a row");
        convert(root, RecordWriter::new(&mut record, &mut passages), &mut problems, &mut LastTools::default())
            .expect("a known format");
        match serde_json::from_slice(&record).expect("a record") {
            Record::Conversation(conversation) => conversation,
            Record::Text(text) => panic!("`{text}` is no conversation"),
        }
    }

    #[test]
    fn a_row_is_shown_as_the_trajectory_that_training_saw() {
        let mut trained = cleaned(
            r#"{"instruction":"How much?","tools":[{"name":"retrieve","desc":"semantic search over notes",
                "args_schema":{"query":"str"}}],"trajectory":[{"thought":"","action":{"tool":"retrieve",
                "args":{"query":"How much?"}},"observation":"It grew 18%."}],"final_answer":"18%"}"#,
        );
        assert_eq!(trained.turns[0].answer.take().as_deref(), Some("18%"));
        // As text, because templates print arguments and schemas in their order.
        let text = |conversation: &Conversation| serde_json::to_string(conversation).expect("JSON");
        assert_eq!(text(&conversation(&EvalSettings::default(), &row(Some("It grew 18%.")))), text(&trained));
    }
}
