//! Conversations as rows of the corpus, with or without a tool.

use crate::json::Json;

/// A conversation under construction.
#[derive(Default)]
pub struct Talk {
    messages: Vec<Json>,
    tools: Vec<Json>,
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

    /// Offers a tool.
    pub fn tool(mut self, tool: &Tool) -> Self {
        let argument = Json::map([(tool.2, Json::map([("type", Json::text("string"))]))]);
        let parameters = Json::map([
            ("type", Json::text("object")),
            ("properties", argument),
            ("required", Json::List(vec![Json::text(tool.2)])),
        ]);
        let function =
            Json::map([("name", Json::text(tool.0)), ("description", Json::text(tool.1)), ("parameters", parameters)]);
        self.tools.push(Json::map([("type", Json::text("function")), ("function", function)]));
        self
    }

    /// Adds a thought and a call of a tool.
    pub fn call(mut self, tool: &Tool, thought: &str, argument: &str) -> Self {
        let arguments = Json::map([(tool.2, Json::text(argument))]);
        let function = Json::map([("name", Json::text(tool.0)), ("arguments", arguments)]);
        let call = Json::map([("type", Json::text("function")), ("function", function)]);
        self.messages.push(Json::map([
            ("role", Json::text("assistant")),
            ("content", Json::text(thought)),
            ("tool_calls", Json::List(vec![call])),
        ]));
        self
    }

    /// Adds what the tool found.
    pub fn observe(self, content: impl Into<String>) -> Self {
        self.turn("tool", content)
    }

    fn turn(mut self, role: &str, content: impl Into<String>) -> Self {
        self.messages.push(Json::map([("role", Json::text(role)), ("content", Json::text(content))]));
        self
    }

    /// The row.
    pub fn json(self) -> Json {
        let mut fields = vec![("messages".to_owned(), Json::List(self.messages))];
        if !self.tools.is_empty() {
            fields.push(("tools".to_owned(), Json::List(self.tools)));
        }
        Json::Map(fields)
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
