//! Values and names, split so that no held-out value or name occurs in training.

use crate::random::Random;

/// Which file a scene is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The training files.
    Train,
    /// The held-out file.
    HeldOut,
}

impl Split {
    /// The part of a pool that belongs to this split: the last third is held out.
    pub fn part<T>(self, pool: &[T]) -> &[T] {
        let border = pool.len() * 2 / 3;
        match self {
            Self::Train => &pool[..border],
            Self::HeldOut => &pool[border..],
        }
    }
}

/// How a value looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `82%`: most of something.
    Percent,
    /// `12%` or `7.5%`: a small part or a change.
    Part,
    /// `9 days`
    Days,
    /// `6 weeks`
    Weeks,
    /// `$45`
    Dollars,
    /// `$4.2M`
    Millions,
    /// `18 credits`
    Credits,
    /// `3.4`
    Grade,
    /// `82`
    Score,
    /// `9:40`
    Clock,
    /// `B214`
    Room,
    /// `1,204`
    Count,
}

/// A number in `low..=high` of the split: every third number is held out.
pub fn number(random: &mut Random, split: Split, low: usize, high: usize) -> usize {
    loop {
        let number = random.between(low, high);
        if number.is_multiple_of(3) == (split == Split::HeldOut) {
            return number;
        }
    }
}

impl Kind {
    /// A value of this kind from the split.
    pub fn draw(self, random: &mut Random, split: Split) -> String {
        match self {
            Self::Percent => format!("{}%", number(random, split, 41, 99)),
            Self::Part if random.chance(40) => {
                let tenths = number(random, split, 11, 299);
                format!("{}.{}%", tenths / 10, tenths % 10)
            }
            Self::Part => format!("{}%", number(random, split, 2, 40)),
            Self::Days => format!("{} days", number(random, split, 2, 45)),
            Self::Weeks => format!("{} weeks", number(random, split, 2, 26)),
            Self::Dollars => format!("${}", number(random, split, 5, 950)),
            Self::Millions => {
                let tenths = number(random, split, 11, 989);
                format!("${}.{}M", tenths / 10, tenths % 10)
            }
            Self::Credits => format!("{} credits", number(random, split, 9, 24)),
            Self::Grade => {
                let hundredths = number(random, split, 180, 399);
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
            Self::Score => number(random, split, 31, 99).to_string(),
            Self::Clock => format!("{}:{:02}", random.between(7, 19), number(random, split, 1, 59)),
            Self::Room => {
                let wing = *random.pick(&['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H']);
                format!("{wing}{}", number(random, split, 101, 499))
            }
            Self::Count => {
                let count = number(random, split, 210, 9800);
                if count < 1000 { count.to_string() } else { format!("{},{:03}", count / 1000, count % 1000) }
            }
        }
    }
}

/// `count` different values, each of the kind at its place.
pub fn distinct(random: &mut Random, split: Split, kinds: &[Kind]) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for kind in kinds {
        let mut value = kind.draw(random, split);
        while values.iter().any(|other| other.contains(&value) || value.contains(other)) {
            value = kind.draw(random, split);
        }
        values.push(value);
    }
    values
}

const FIRST: [&str; 45] = [
    "Maria", "James", "Aisha", "Daniel", "Sofia", "Omar", "Grace", "Ivan", "Lena", "Peter", "Hana", "Marcus", "Julia",
    "Samir", "Clara", "Felix", "Nadia", "Oscar", "Ruth", "Victor", "Elena", "Tomas", "Priya", "Simon", "Alice", "Hugo",
    "Mona", "Kofi", "Irene", "David", "Beatriz", "Arjun", "Wendy", "Gustav", "Yara", "Colin", "Fatima", "Leo", "Noemi",
    "Robert", "Tara", "Emil", "Zoe", "Karim", "Ingrid",
];
const LAST: [&str; 45] = [
    "Lopez", "Carter", "Khan", "Novak", "Rossi", "Haddad", "Kim", "Petrov", "Braun", "Ellis", "Sato", "Reed", "Costa",
    "Patel", "Weber", "Lindgren", "Mensah", "Diaz", "Walker", "Moreau", "Silva", "Kowalski", "Nguyen", "Fischer",
    "Murphy", "Banerjee", "Olsen", "Grant", "Ricci", "Turner", "Vargas", "Mehta", "Dalton", "Berg", "Osman", "Hughes",
    "Farouk", "Steiner", "Bianchi", "Quinn", "Ferreira", "Lund", "Chandra", "Whitaker", "Jansen",
];
const SCHOOLS: [&str; 30] = [
    "Northfield College",
    "Harbor High",
    "Westbrook School",
    "Lakeside Academy",
    "Riverton College",
    "Oakdale High",
    "Stonebridge School",
    "Hillcrest Academy",
    "Milford College",
    "Eastgate High",
    "Ashby School",
    "Fairview Academy",
    "Kingsley College",
    "Brookline High",
    "Summit School",
    "Maple Academy",
    "Redwood College",
    "Clayton High",
    "Parkside School",
    "Bayview Academy",
    "Granville College",
    "Thornton High",
    "Whitney School",
    "Elmwood Academy",
    "Saltmarsh College",
    "Dunmore High",
    "Ferndale School",
    "Cedar Academy",
    "Larkspur College",
    "Quayside High",
];
const COMPANIES: [&str; 30] = [
    "ACME Corp",
    "Brightline",
    "Nordic Steel",
    "Delta Foods",
    "Harper and Sons",
    "Vertex Labs",
    "Blue River Energy",
    "Orion Freight",
    "Summit Retail",
    "Castle Paper",
    "Polar Systems",
    "Greenway Farms",
    "Atlas Motors",
    "Pioneer Glass",
    "Lumen Media",
    "Sterling Tools",
    "Cobalt Mining",
    "Juniper Health",
    "Falcon Air",
    "Monarch Textiles",
    "Zenith Optics",
    "Tidewater Shipping",
    "Copperfield Bank",
    "Halcyon Games",
    "Ironwood Timber",
    "Kestrel Drones",
    "Marigold Bakery",
    "Obsidian Security",
    "Quarry Stone",
    "Willow Insurance",
];
const COURSES: [&str; 18] = [
    "Biology",
    "Chemistry",
    "History",
    "Physics",
    "Algebra",
    "English",
    "Music",
    "Spanish",
    "Statistics",
    "Art",
    "Economics",
    "Geometry",
    "Geology",
    "Drama",
    "French",
    "Robotics",
    "Philosophy",
    "Latin",
];

/// A person's full name.
pub fn person(random: &mut Random, split: Split) -> String {
    format!("{} {}", random.pick(split.part(&FIRST)), random.pick(split.part(&LAST)))
}

/// `count` different courses.
pub fn courses(random: &mut Random, split: Split, count: usize) -> Vec<String> {
    random.sample(split.part(&COURSES), count).into_iter().map(|course| (*course).to_owned()).collect()
}

/// `count` different schools.
pub fn schools(random: &mut Random, split: Split, count: usize) -> Vec<String> {
    random.sample(split.part(&SCHOOLS), count).into_iter().map(|school| (*school).to_owned()).collect()
}

/// `count` different companies.
pub fn companies(random: &mut Random, split: Split, count: usize) -> Vec<String> {
    random.sample(split.part(&COMPANIES), count).into_iter().map(|company| (*company).to_owned()).collect()
}

/// Fills `{name}` marks.
pub fn fill(template: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
