//! A scene is one situation before it becomes a training or a held-out row: a question, a note, the right answer.

use super::record::{ATTENDANCE, GRADEBOOK, Question, RETRIEVE, Step, TICKET, Tool, Trajectory};
use crate::json::Json;
use crate::random::Random;

/// Which tool brings the note in training; held-out rows always use `retrieve`.
pub enum Source {
    /// Search in the notes.
    Notes,
    /// The attendance register of a student.
    Register(String),
    /// The grade book of a student.
    Grades(String),
    /// A new ticket: queue and title.
    Desk(String, String),
    /// No tool: the answer must be known.
    Memory,
}

/// One situation.
pub struct Scene {
    /// What the user asks.
    pub query: String,
    /// The note; empty when the answer must be known.
    pub context: String,
    /// The right answer.
    pub answer: String,
    /// All values in the note in order, the answer among them: what the copying baselines pick from.
    pub values: Vec<String>,
    /// True when question or note is worded as no training row is.
    pub unseen: bool,
    /// Where training gets the note from.
    pub source: Source,
}

const THOUGHTS: [&str; 4] = ["Search the notes.", "Look it up.", "Check the notes.", ""];

/// Rows above this many characters of question, call and note would pass 160 tokens.
const MOST_CHARACTERS: usize = 215;

impl Scene {
    /// Whether the row stays within the length the training budget allows.
    pub fn is_short(&self) -> bool {
        let call = match &self.source {
            Source::Desk(queue, title) => queue.len() + title.len() + 70,
            Source::Register(student) | Source::Grades(student) => student.len() + 20,
            Source::Notes | Source::Memory => self.query.len(),
        };
        self.query.len() + call + self.context.len() <= MOST_CHARACTERS
    }

    /// The scene as a held-out row.
    pub fn question(&self, family: &'static str) -> Question {
        let mut tags = vec![family];
        if self.unseen {
            tags.push("unseen-phrasing");
        }
        Question {
            query: self.query.clone(),
            context: (!self.context.is_empty()).then(|| self.context.clone()),
            expected: self.answer.clone(),
            tags,
        }
    }

    /// The scene as a training row.
    pub fn into_trajectory(self, random: &mut Random) -> Trajectory {
        let (tool, arguments): (&'static Tool, Json) = match &self.source {
            Source::Memory => {
                return Trajectory {
                    instruction: self.query,
                    tools: Vec::new(),
                    steps: Vec::new(),
                    final_answer: self.answer,
                };
            }
            Source::Notes => (&RETRIEVE, Json::map([("query", Json::text(&self.query))])),
            Source::Register(student) => (&ATTENDANCE, Json::map([("student", Json::text(student))])),
            Source::Grades(student) => (&GRADEBOOK, Json::map([("student", Json::text(student))])),
            Source::Desk(queue, title) => {
                (&TICKET, Json::map([("queue", Json::text(queue)), ("title", Json::text(title))]))
            }
        };
        let mut tools = vec![tool];
        if tool.name == TICKET.name || (tool.name != RETRIEVE.name && random.chance(50)) {
            tools.push(&RETRIEVE);
            random.shuffle(&mut tools);
        }
        let step = Step {
            thought: (*random.pick(&THOUGHTS)).to_owned(),
            tool: tool.name,
            arguments,
            observation: self.context,
        };
        Trajectory { instruction: self.query, tools, steps: vec![step], final_answer: self.answer }
    }
}
