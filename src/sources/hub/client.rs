//! Requests to a hub: the listing of a repository, what a file is, and its bytes.
//!
//! Redirects are followed by hand, since what a file is stands in the answer *before* the redirect to where its bytes
//! lie, and so that the token goes to the hub alone.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::super::error::SourceError;
use super::HubSettings;
use crate::source::Hub;

/// The longest listing that is read, in bytes.
const MAX_LISTING_BYTES: u64 = 16 << 20;
/// The most redirects of one request.
const MAX_REDIRECTS: usize = 8;

/// A hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    /// The source that is being fetched, for messages.
    name: String,
}

/// A repository at a commit.
pub(super) struct Listing {
    /// The commit id.
    pub(super) commit: String,
    /// Its files.
    pub(super) files: Vec<String>,
}

/// What the hub says of a file.
#[derive(Clone)]
pub(super) struct FileInfo {
    /// The name of its bytes: the SHA-256 of a large file, git's blob id of a small one.
    pub(super) etag: String,
    /// How many bytes it has.
    pub(super) size: u64,
    /// Where they are.
    pub(super) url: String,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Client {
    pub(super) fn new(settings: &HubSettings, name: &str) -> Self {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_per_read(Some(Duration::from_mins(1)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .user_agent(concat!("pipe/", env!("CARGO_PKG_VERSION")))
            .build();
        let (endpoint, token) = (settings.endpoint.clone(), settings.token.clone());
        Self { agent: Agent::new_with_config(config), endpoint, token, name: name.to_owned() }
    }

    pub(super) fn failed(&self, message: impl Into<String>) -> SourceError {
        SourceError::Hub { name: self.name.clone(), message: message.into() }
    }

    /// The files of a repository, and the commit that a revision is.
    pub(super) fn listing(&self, repository: &str, revision: &str) -> Result<Listing, SourceError> {
        let url = format!("{}/api/models/{repository}/revision/{revision}", self.endpoint);
        let (mut response, _) = self.follow(&url, "GET", None, true)?;
        self.check_status(&response)?;
        let text = response.body_mut().with_config().limit(MAX_LISTING_BYTES).read_to_vec();
        let text = text.map_err(|error| self.failed(format!("its listing: {error}")))?;
        let info: ModelInfo = serde_json::from_slice(&text)
            .map_err(|error| self.failed(format!("its listing is not understood: {error}")))?;
        if !Hub::is_commit(&info.sha) {
            return Err(
                self.failed(format!("its listing gives the commit `{}`; expected 40 hexadecimal digits", info.sha))
            );
        }
        let files = info.siblings.into_iter().map(|file| file.rfilename).filter(|name| is_plain(name)).collect();
        Ok(Listing { commit: info.sha, files })
    }

    /// What a file is.
    pub(super) fn info(&self, repository: &str, commit: &str, file: &str) -> Result<FileInfo, SourceError> {
        let url = format!("{}/{repository}/resolve/{commit}/{file}", self.endpoint);
        let (response, url) = self.follow(&url, "HEAD", None, false)?;
        if !response.status().is_redirection() {
            self.check_status(&response)?;
        }
        let field = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = field("x-linked-etag")
            .or_else(|| field("etag"))
            .map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
        let is_digest =
            |etag: &&str| matches!(etag.len(), 40 | 64) && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(etag) = etag.filter(is_digest) else {
            return Err(self.failed(format!("the hub gives no digest of `{file}`")));
        };
        let size = field("x-linked-size").or_else(|| field("content-length")).and_then(|size| size.parse().ok());
        let Some(size) = size else { return Err(self.failed(format!("the hub gives no size of `{file}`"))) };
        let url = match field("location") {
            Some(location) if response.status().is_redirection() => join(&url, location),
            _ => url,
        };
        Ok(FileInfo { etag: etag.to_ascii_lowercase(), size, url })
    }

    /// The bytes of a file from some byte on, and whether the server began there or at the first; nothing when it says that
    /// there is no such byte.
    pub(super) fn bytes(&self, info: &FileInfo, from: u64) -> Result<Option<(bool, impl Read + use<>)>, SourceError> {
        let (response, _) = self.follow(&info.url, "GET", Some(from).filter(|from| *from > 0), true)?;
        if response.status() == 416 {
            return Ok(None);
        }
        self.check_status(&response)?;
        Ok(Some((response.status() == 206, response.into_body().into_reader())))
    }

    /// Sends a request and follows redirects: all of them, or only those that stay on the server.
    fn follow(
        &self,
        url: &str,
        method: &str,
        from: Option<u64>,
        elsewhere: bool,
    ) -> Result<(Response<Body>, String), SourceError> {
        let mut url = url.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send(&url, method, from)?;
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            match location.filter(|_| response.status().is_redirection()).map(|location| join(&url, location)) {
                Some(next) if elsewhere || server(&next) == server(&url) => url = next,
                _ => return Ok((response, url)),
            }
        }
        Err(self.failed(format!("the hub redirects more than {MAX_REDIRECTS} times")))
    }

    fn send(&self, url: &str, method: &str, from: Option<u64>) -> Result<Response<Body>, SourceError> {
        let request = match method {
            "HEAD" => self.agent.head(url),
            _ => self.agent.get(url),
        };
        // Compressed bytes would have another length and digest.
        let mut request = request.header("accept-encoding", "identity");
        if let Some(token) = self.token.as_ref().filter(|_| server(url) == server(&self.endpoint)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(from) = from {
            request = request.header("range", format!("bytes={from}-"));
        }
        request.call().map_err(|error| self.failed(format!("`{}`: {error}", server(url))))
    }

    fn check_status(&self, response: &Response<Body>) -> Result<(), SourceError> {
        let code = response.status().as_u16();
        let advice = match code {
            200..=299 => return Ok(()),
            401 | 403 if self.token.is_none() => "it asks for a token; set HF_TOKEN to one that may read it",
            401 | 403 => "the token in HF_TOKEN may not read it",
            404 => "there is no such repository, revision or file, or it is private and HF_TOKEN may not read it",
            429 => "too many requests; try again later",
            _ => "the hub answers with an error",
        };
        Err(self.failed(format!("{advice} (status {code})")))
    }
}

/// Scheme, host and port of a URL.
fn server(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find('/').map_or(url, |end| &url[..start + end])
}

/// The URL a redirect leads to.
fn join(base: &str, location: &str) -> String {
    if location.contains("://") { location.to_owned() } else { format!("{}{location}", server(base)) }
}

/// Whether a name from a listing stays in its folder.
fn is_plain(name: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '?', '#', '%']);
    name.split('/').all(plain) && !name.chars().any(|letter| letter.is_control() || letter.is_whitespace())
}
