//! Reads one chunk of YAML: the parser's events into a [`Builder`], with positions moved to where the chunk is.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::{
    builder::{AnchorId, Builder, Built},
    error::{ManifestError, Problem, Syntax},
    location::{Location, Span},
    options::Options,
    scalar::Scalar,
};

const YAML_TAGS: &str = "tag:yaml.org,2002:";

pub(crate) struct YamlDocuments<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    start: Location,
    options: Options,
    anchors: bool,
    done: bool,
}

impl<'a> YamlDocuments<'a> {
    /// `start` is where `text` begins in the input.
    pub(crate) fn new(text: &'a str, start: Location, options: Options) -> YamlDocuments<'a> {
        // One level more than ours, so that our own limit speaks.
        let depth = options.limits.depth() + 2;
        let parser_options = granit_parser::options! {
            flow_nesting_limit: depth,
            block_nesting_limit: depth,
            emit_anchor_events: true,
        };
        let parser = Parser::new_from_str_with_options(text, parser_options);
        let anchors = memchr::memchr(b'*', text.as_bytes()).is_some();
        YamlDocuments { parser, text, start, options, anchors, done: false }
    }

    fn document(&mut self) -> Result<Option<Built>, ManifestError> {
        let options = self.options;
        let mut builder = Builder::new(&options);
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let span = self.span(&span);
            match event {
                Event::DocumentEnd => return Ok(builder.finish()),
                Event::StreamEnd => {
                    self.done = true;
                    return Ok(None);
                }
                event => self.node(&mut builder, event, span)?,
            }
        }
        self.done = true;
        Ok(None)
    }

    fn node(&self, builder: &mut Builder<'_>, event: Event<'a>, span: Span) -> Result<(), ManifestError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let anchor = self.anchor(anchor);
                let plain = style == ScalarStyle::Plain;
                if builder.expects_key() && is_merge(&text, plain, tag.as_deref()) {
                    builder.merge_key(span);
                    return Ok(());
                }
                let fail = |problem| ManifestError::new(span.start, problem);
                let text = self.end_of_text(text, style, span);
                let scalar = resolve(text, plain, tag.as_deref()).map_err(fail)?;
                if !builder.expects_key() {
                    return builder.scalar(scalar, span, anchor);
                }
                builder.anchor_key(anchor, &scalar);
                builder.key(scalar.into_key().map_err(fail)?, span);
                Ok(())
            }
            Event::SequenceStart(_, anchor, _) => builder.open_list(span.start, self.anchor(anchor)),
            Event::MappingStart(_, anchor, _) => builder.open_map(span.start, self.anchor(anchor)),
            // A flow collection's end is its bracket; a block's end is empty.
            Event::SequenceEnd | Event::MappingEnd => {
                builder.close((span.end > span.start.offset).then_some(span.end))
            }
            Event::Alias(id) => {
                let name = self.slice(span).trim_start_matches('*');
                if builder.expects_key() {
                    builder.alias_key(id, name, span)
                } else {
                    builder.alias(id, name, span)
                }
            }
            Event::Anchor(_, name) => check_anchor(&name, span),
            _ => Ok(()),
        }
    }

    /// libyaml ends a block scalar without a line break where the text ends without one; YAML 1.2 adds it.
    fn end_of_text(&self, text: Cow<'a, str>, style: ScalarStyle, span: Span) -> Cow<'a, str> {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let last = span.end as usize >= self.start.offset as usize + self.text.len();
        let last_line = || self.text.rsplit(['\n', '\r']).next().unwrap_or_default();
        if !block || !last || last_line().trim_ascii().is_empty() {
            return text;
        }
        let mut text = text.into_owned();
        if text.ends_with('\n') {
            text.pop();
        }
        Cow::Owned(text)
    }

    /// Without an alias in the text, an anchor need not be kept.
    fn anchor(&self, id: AnchorId) -> AnchorId {
        if self.anchors { id } else { 0 }
    }

    fn slice(&self, span: Span) -> &'a str {
        let from = |offset: u32| offset.saturating_sub(self.start.offset) as usize;
        self.text.get(from(span.start.offset)..from(span.end)).unwrap_or_default()
    }

    fn location(&self, marker: &Marker) -> Location {
        Location {
            line: self.start.line + marker.line().saturating_sub(1) as u32,
            column: marker.col() as u32 + 1,
            offset: self.start.offset + marker.byte_offset().unwrap_or_default() as u32,
        }
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let end = self.start.offset + span.end.byte_offset().unwrap_or_default() as u32;
        Span { start: self.location(&span.start), end }
    }

    fn syntax(&self, error: &ScanError) -> ManifestError {
        let problem = match error.kind() {
            ErrorKind::RecursionLimitExceeded => Problem::too_deep(self.options.limits.depth()),
            _ => Problem::Syntax { syntax: Syntax::Yaml, message: error.info() },
        };
        ManifestError::new(self.location(error.marker()), problem)
    }
}

impl Iterator for YamlDocuments<'_> {
    type Item = Result<Built, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.document() {
                Ok(Some(built)) => return Some(Ok(built)),
                Ok(None) => {}
                Err(error) => {
                    // A chunk holds one document; more than one only where a lone carriage return hides a separator.
                    self.done = !self.parser.proceed_next_document().unwrap_or(false);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn resolve(text: Cow<'_, str>, plain: bool, tag: Option<&Tag>) -> Result<Scalar, Problem> {
    let Some(tag) = tag else {
        return Ok(if plain { Scalar::plain(text) } else { Scalar::Text(text.into_owned()) });
    };
    match tag.suffix_in_namespace(YAML_TAGS) {
        Some(name) => Scalar::tagged(&name, &text),
        None => Ok(Scalar::Text(text.into_owned())),
    }
}

/// YAML 1.2 allows nearly everything in an anchor's name, even the colon of `&key:`; libyaml does not.
fn check_anchor(name: &str, span: Span) -> Result<(), ManifestError> {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Ok(());
    }
    let message = format!("anchor name {name:?} may hold letters, digits, `-` and `_` only");
    Err(ManifestError::new(span.start, Problem::Syntax { syntax: Syntax::Yaml, message }))
}

/// go-yaml's `isMerge`: a plain `<<`, or any `<<` tagged `!!merge` or `!`.
fn is_merge(text: &str, plain: bool, tag: Option<&Tag>) -> bool {
    text == "<<"
        && match tag {
            None => plain,
            Some(tag) => {
                tag.suffix_in_namespace(YAML_TAGS).as_deref() == Some("merge") || tag.original() == "!"
            }
        }
}
