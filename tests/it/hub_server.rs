//! A small hub on 127.0.0.1: the requests that a model's files take, with the failures that real ones have.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The commit after it, in which every file stands twice in itself.
pub const NEXT_COMMIT: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// How the hub misbehaves.
#[derive(Clone, Default)]
pub struct Manners {
    /// A token without which it answers 401.
    pub token: Option<String>,
    /// Of the next large body, only so many bytes come.
    pub cut_at: Option<usize>,
    /// Ranges are not honoured.
    pub ignores_ranges: bool,
    /// The bytes of large files are others than the digest says.
    pub lies: bool,
    /// It redirects to itself for ever.
    pub loops: bool,
    /// Where its branch is, when no longer at [`COMMIT`].
    pub head: Option<&'static str>,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

/// A running hub; it ends with the test's process.
pub struct Hub {
    port: u16,
    pub manners: Arc<Mutex<Manners>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Hub {
    /// A hub with one repository, `acme/toy`.
    pub fn new(files: &[(&str, Vec<u8>)], manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let (manners, requests) = (Arc::new(Mutex::new(manners)), Arc::new(Mutex::new(Vec::new())));
        let state = (files, manners.clone(), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up early is part of the tests.
                let _ = serve(&stream, port, &state);
            }
        });
        Self { port, manners, requests }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

type State = (BTreeMap<String, Vec<u8>>, Arc<Mutex<Manners>>, Arc<Mutex<Vec<Request>>>);

fn serve(stream: &TcpStream, port: u16, (files, manners, requests): &State) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let request = Request { method, path, headers };
    requests.lock().unwrap().push(request.clone());
    let answer = answer(&request, port, files, &mut manners.lock().unwrap());
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status)?;
    answer.headers.iter().try_for_each(|(name, value)| write!(stream, "{name}: {value}\r\n"))?;
    stream.write_all(b"\r\n")?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body[..answer.cut_at.unwrap_or(answer.body.len())])?;
    }
    stream.flush()
}

#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut_at: Option<usize>,
}

fn answer(request: &Request, port: u16, files: &BTreeMap<String, Vec<u8>>, manners: &mut Manners) -> Answer {
    let status = |status| Answer { status, headers: vec![("content-length", "0".to_owned())], ..Answer::default() };
    if manners.loops {
        return Answer {
            headers: vec![("location", request.path.clone()), ("content-length", "0".to_owned())],
            ..status(307)
        };
    }
    // The bytes of large files lie on another server, which must not see the token.
    if let Some(name) = request.path.strip_prefix("/cdn/") {
        return bytes(request, &files[name], manners);
    }
    let token = manners.token.as_ref().map(|token| format!("Bearer {token}"));
    if token.is_some() && request.headers.get("authorization") != token.as_ref() {
        return status(401);
    }
    if let Some(revision) = request.path.strip_prefix("/api/models/acme/toy/revision/") {
        let sha = match revision {
            "main" => manners.head.unwrap_or(COMMIT),
            COMMIT | NEXT_COMMIT => revision,
            _ => return status(404),
        };
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "sha": sha, "siblings": siblings }).to_string().into_bytes();
        return Answer { status: 200, headers: vec![("content-length", body.len().to_string())], body, cut_at: None };
    }
    let path = request.path.strip_prefix("/acme/toy/resolve/").and_then(|path| path.split_once('/'));
    let commit = path.map_or("", |(commit, _)| commit);
    let file = path.and_then(|(_, name)| files.get_key_value(name));
    let (Some((name, file)), COMMIT | NEXT_COMMIT) = (file, commit) else { return status(404) };
    let file = &if commit == COMMIT { file.clone() } else { file.repeat(2) };
    if name.ends_with(".safetensors") {
        let headers = vec![
            ("x-repo-commit", COMMIT.to_owned()),
            ("x-linked-etag", format!("\"{}\"", hex(&Sha256::digest(file)))),
            ("x-linked-size", file.len().to_string()),
            ("location", format!("http://localhost:{port}/cdn/{name}")),
            ("content-length", "0".to_owned()),
        ];
        return Answer { status: 302, headers, ..Answer::default() };
    }
    let git = Sha1::new_with_prefix(format!("blob {}\0", file.len())).chain_update(file);
    let mut answer = bytes(request, file, &mut Manners::default());
    answer.headers.push(("etag", format!("\"{}\"", hex(&git.finalize()))));
    answer
}

fn bytes(request: &Request, file: &[u8], manners: &mut Manners) -> Answer {
    let mut file = file.to_vec();
    if manners.lies {
        file[0] ^= 1;
    }
    let range = request.headers.get("range").filter(|_| !manners.ignores_ranges);
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let (status, body) = match from {
        Some(from) if from >= file.len() => (416, Vec::new()),
        Some(from) => (206, file[from..].to_vec()),
        None => (200, file),
    };
    let headers = vec![("content-length", body.len().to_string())];
    Answer { status, headers, cut_at: manners.cut_at.take().filter(|at| *at < body.len()), body }
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
