//! Conversations as rows of the corpus, with or without a tool.

use crate::json::Json;

/// A conversation under construction.
#[derive(Default)]
pub struct Talk {
    messages: Vec<Json>,
}

impl Talk {
    /// Adds a system message.
    pub fn system(self, content: impl Into<String>) -> Self {
        self.turn("system", content)
    }

    /// Adds a question.
    pub fn user(self, content: impl Into<String>) -> Self {
        self.turn("user", content)
    }

    /// Adds an answer.
    pub fn assistant(self, content: impl Into<String>) -> Self {
        self.turn("assistant", content)
    }

    fn turn(mut self, role: &str, content: impl Into<String>) -> Self {
        self.messages.push(Json::map([("role", Json::text(role)), ("content", Json::text(content))]));
        self
    }

    /// The row.
    pub fn json(self) -> Json {
        Json::map([("messages", Json::List(self.messages))])
    }
}

/// A tool of the made-up world: name, description, argument.
pub struct Tool(pub &'static str, pub &'static str, pub &'static str);

/// A row in which the note comes from a tool.
pub fn with_tool(tool: &Tool, question: &str, thought: &str, argument: &str, note: &str, answer: &str) -> Json {
    let schema = Json::map([(tool.2, Json::text("str"))]);
    let action = Json::map([("tool", Json::text(tool.0)), ("args", Json::map([(tool.2, Json::text(argument))]))]);
    let step = Json::map([("thought", Json::text(thought)), ("action", action), ("observation", Json::text(note))]);
    Json::map([
        ("instruction", Json::text(question)),
        (
            "tools",
            Json::List(vec![Json::map([
                ("name", Json::text(tool.0)),
                ("desc", Json::text(tool.1)),
                ("args_schema", schema),
            ])]),
        ),
        ("trajectory", Json::List(vec![step])),
        ("final_answer", Json::text(answer)),
    ])
}
