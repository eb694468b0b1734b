//! The two row formats of the task: training trajectories and held-out questions.

use crate::json::Json;

/// A tool as the training rows declare it.
pub struct Tool {
    /// The name a call uses.
    pub name: &'static str,
    description: &'static str,
    arguments: &'static [(&'static str, &'static str)],
}

/// Semantic search; also the tool of every held-out question with a context.
pub const RETRIEVE: Tool =
    Tool { name: "retrieve", description: "semantic search over notes", arguments: &[("query", "str")] };
/// Attendance by student.
pub const ATTENDANCE: Tool =
    Tool { name: "attendance_lookup", description: "attendance by student", arguments: &[("student", "str")] };
/// Scores and weights.
pub const GRADEBOOK: Tool =
    Tool { name: "gradebook_query", description: "scores by student", arguments: &[("student", "str")] };
/// Ticket creation.
pub const TICKET: Tool =
    Tool { name: "ticket_create", description: "open a ticket", arguments: &[("queue", "str"), ("title", "str")] };
/// Symbolic steps.
pub const ALGEBRA: Tool = Tool { name: "algebra", description: "symbolic steps", arguments: &[] };

/// One thought, call and observation.
pub struct Step {
    /// What the assistant says before the call.
    pub thought: String,
    /// The tool's name.
    pub tool: &'static str,
    /// The call's arguments.
    pub arguments: Json,
    /// What the tool answers.
    pub observation: String,
}

/// One training row.
pub struct Trajectory {
    /// What the user asks.
    pub instruction: String,
    /// The tools on offer.
    pub tools: Vec<&'static Tool>,
    /// The steps; none for a direct answer.
    pub steps: Vec<Step>,
    /// The last word of the assistant.
    pub final_answer: String,
}

impl Trajectory {
    /// The row as one JSON object.
    pub fn json(&self) -> Json {
        Json::map([
            ("instruction", Json::text(&self.instruction)),
            ("tools", Json::List(self.tools.iter().map(|tool| tool.json()).collect())),
            ("trajectory", Json::List(self.steps.iter().map(Step::json).collect())),
            ("final_answer", Json::text(&self.final_answer)),
        ])
    }
}

impl Tool {
    fn json(&self) -> Json {
        let schema = self.arguments.iter().map(|(name, kind)| ((*name).to_owned(), Json::text(*kind))).collect();
        Json::map([
            ("name", Json::text(self.name)),
            ("desc", Json::text(self.description)),
            ("args_schema", Json::Map(schema)),
        ])
    }
}

impl Step {
    fn json(&self) -> Json {
        let action = Json::map([("tool", Json::text(self.tool)), ("args", self.arguments.clone())]);
        Json::map([
            ("thought", Json::text(&self.thought)),
            ("action", action),
            ("observation", Json::text(&self.observation)),
        ])
    }
}

/// One held-out row.
pub struct Question {
    /// What the user asks.
    pub query: String,
    /// The note that holds the answer; none when the answer must be known.
    pub context: Option<String>,
    /// The one right answer.
    pub expected: String,
    /// The family, and `unseen-phrasing` where training has no such wording.
    pub tags: Vec<&'static str>,
}

impl Question {
    /// The row as one JSON object.
    pub fn json(&self) -> Json {
        let mut pairs = vec![("query".to_owned(), Json::text(&self.query))];
        pairs.extend(self.context.iter().map(|context| ("context".to_owned(), Json::text(context))));
        pairs.push(("expected".to_owned(), Json::text(&self.expected)));
        pairs.push(("tags".to_owned(), Json::List(self.tags.iter().map(|tag| Json::text(*tag)).collect())));
        Json::Map(pairs)
    }

    /// The same row as a training trajectory: a deliberate leak that `clean` must reject.
    pub fn leaked(&self) -> Trajectory {
        let step = Step {
            thought: "Search the notes.".to_owned(),
            tool: RETRIEVE.name,
            arguments: Json::map([("query", Json::text(&self.query))]),
            observation: self.context.clone().unwrap_or_default(),
        };
        Trajectory {
            instruction: self.query.clone(),
            tools: vec![&RETRIEVE],
            steps: vec![step],
            final_answer: self.expected.clone(),
        }
    }
}
