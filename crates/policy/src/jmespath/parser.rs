//! A Pratt parser: every operator has a binding power, and an operand belongs to the stronger neighbour. Powers and
//! their use are those of the JMESPath reference implementations, because they decide where projections end.

use super::ast::{Call, FilterNode, Node, Slice};
use super::lexer::{Placed, Token, tokenize};
use super::{Dialect, Expression, ParseError, functions};
use std::sync::OnceLock;

/// A node and the depth of its tree.
type Tree = (Node, u32);
type Parsed = Result<Tree, ParseError>;

/// What binds weaker than this ends a projection.
const PROJECTION_STOP: u8 = 10;
const PIPE: u8 = 1;
const OR: u8 = 2;
const AND: u8 = 3;
const COMPARISON: u8 = 5;
const FLATTEN: u8 = 9;
const STAR: u8 = 20;
const FILTER: u8 = 21;
const DOT: u8 = 40;
const NOT: u8 = 45;

pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Node, ParseError> {
    if text.len() > Expression::MAX_LENGTH {
        let message =
            format!("the expression has {} bytes, accepted: {}", text.len(), Expression::MAX_LENGTH);
        return Err(ParseError::new(Expression::MAX_LENGTH, message));
    }
    let mut parser = Parser { tokens: tokenize(text, dialect)?, index: 0, dialect, nesting: 0 };
    let (node, _) = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the end of the expression")),
    }
}

struct Parser<'e> {
    tokens: Vec<Placed<'e>>,
    index: usize,
    dialect: Dialect,
    nesting: u32,
}

fn power(token: &Token<'_>) -> u8 {
    match token {
        Token::Pipe => PIPE,
        Token::Or => OR,
        Token::And => AND,
        Token::Comparison(_) => COMPARISON,
        Token::Flatten => FLATTEN,
        Token::Star => STAR,
        Token::Filter => FILTER,
        Token::Dot => DOT,
        Token::Not => NOT,
        Token::LeftBrace => 50,
        Token::LeftBracket => 55,
        Token::LeftParenthesis => 60,
        _ => 0,
    }
}

impl<'e> Parser<'e> {
    fn peek(&self) -> &Token<'e> {
        &self.tokens[self.index].0
    }

    fn peek_second(&self) -> &Token<'e> {
        let last = self.tokens.len() - 1;
        &self.tokens[last.min(self.index + 1)].0
    }

    fn offset(&self) -> usize {
        self.tokens[self.index].1
    }

    /// Takes the next token; the end stays.
    fn next(&mut self) -> Token<'e> {
        if self.index + 1 == self.tokens.len() {
            return Token::End;
        }
        self.index += 1;
        std::mem::replace(&mut self.tokens[self.index - 1].0, Token::End)
    }

    /// Takes the next token if it is `token`.
    fn take(&mut self, token: &Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.index += 1;
        }
        found
    }

    fn expect(&mut self, token: &Token<'_>) -> Result<(), ParseError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(&token.describe())) }
    }

    fn unexpected(&self, accepted: &str) -> ParseError {
        let message = match self.peek() {
            Token::End => format!("incomplete expression, expected {accepted}"),
            token => format!("unexpected {}, expected {accepted}", token.describe()),
        };
        ParseError::new(self.offset(), message)
    }

    fn check_depth(&self, depth: u32) -> Result<u32, ParseError> {
        if depth < Expression::MAX_DEPTH {
            return Ok(depth);
        }
        let message =
            format!("the expression is nested too deeply, accepted: {} levels", Expression::MAX_DEPTH);
        Err(ParseError::new(self.offset(), message))
    }

    fn one(&self, node: fn(Box<Node>) -> Node, (child, depth): Tree) -> Parsed {
        Ok((node(Box::new(child)), self.check_depth(depth + 1)?))
    }

    fn two(&self, node: fn(Box<Node>, Box<Node>) -> Node, left: Tree, right: Tree) -> Parsed {
        let depth = self.check_depth(left.1.max(right.1) + 1)?;
        Ok((node(Box::new(left.0), Box::new(right.0)), depth))
    }

    fn expression(&mut self, binding: u8) -> Parsed {
        self.nesting = self.check_depth(self.nesting + 1)?;
        let mut left = self.prefix()?;
        while binding < power(self.peek()) {
            left = self.infix(left)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn prefix(&mut self) -> Parsed {
        let current = (Node::Identity, 1);
        match self.peek() {
            Token::Identifier(_) if *self.peek_second() == Token::LeftParenthesis => self.call(),
            Token::Quoted(_) if *self.peek_second() == Token::LeftParenthesis => {
                Err(ParseError::new(self.offset(), "a quoted identifier cannot be the name of a function"))
            }
            Token::LeftBracket => {
                self.next();
                self.bracket(current, true)
            }
            Token::Flatten => self.flatten(current),
            Token::Filter => self.filter(current),
            Token::Star => {
                self.next();
                let right = if *self.peek() == Token::RightBracket {
                    (Node::Identity, 1)
                } else {
                    self.projected(STAR)?
                };
                self.two(Node::ValueProjection, current, right)
            }
            Token::LeftBrace => {
                self.next();
                self.object()
            }
            Token::LeftParenthesis => {
                self.next();
                let inner = self.expression(0)?;
                self.expect(&Token::RightParenthesis)?;
                Ok(inner)
            }
            Token::Ampersand => {
                self.next();
                let inner = self.expression(0)?;
                self.one(Node::Reference, inner)
            }
            Token::Not => {
                self.next();
                let inner = self.expression(NOT)?;
                self.one(Node::Not, inner)
            }
            _ => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Parsed {
        let accepts =
            matches!(self.peek(), Token::At | Token::Literal(_) | Token::Identifier(_) | Token::Quoted(_));
        if !accepts {
            return Err(self.unexpected("an expression"));
        }
        let node = match self.next() {
            Token::Literal(value) => Node::Literal(value),
            Token::Identifier(name) => Node::Field(name.to_owned()),
            Token::Quoted(name) => Node::Field(name),
            _ => Node::Current,
        };
        Ok((node, 1))
    }

    fn infix(&mut self, left: Tree) -> Parsed {
        match *self.peek() {
            Token::Dot => self.dot(left),
            Token::Pipe => self.binary(Node::Pipe, left, PIPE),
            Token::Or => self.binary(Node::Or, left, OR),
            Token::And => self.binary(Node::And, left, AND),
            Token::Comparison(comparison) => {
                self.next();
                let right = self.expression(COMPARISON)?;
                let depth = self.check_depth(left.1.max(right.1) + 1)?;
                Ok((Node::Compare(comparison, Box::new(left.0), Box::new(right.0)), depth))
            }
            Token::Flatten => self.flatten(left),
            Token::Filter => self.filter(left),
            Token::LeftBracket => {
                self.next();
                self.bracket(left, false)
            }
            _ => Err(self.unexpected("an operator")),
        }
    }

    fn binary(&mut self, node: fn(Box<Node>, Box<Node>) -> Node, left: Tree, binding: u8) -> Parsed {
        self.next();
        let right = self.expression(binding)?;
        self.two(node, left, right)
    }

    fn dot(&mut self, left: Tree) -> Parsed {
        self.next();
        if !self.take(&Token::Star) {
            let right = self.after_dot(DOT)?;
            return self.two(Node::Sub, left, right);
        }
        // The fork stops the projection of `a.*` at the second dot that follows; the reference implementation does not.
        let binding = if self.dialect == Dialect::Kyverno { DOT } else { STAR };
        let right = self.projected(binding)?;
        self.two(Node::ValueProjection, left, right)
    }

    fn after_dot(&mut self, binding: u8) -> Parsed {
        match self.peek() {
            Token::Identifier(_) | Token::Quoted(_) | Token::Star => self.expression(binding),
            Token::LeftBracket => {
                self.next();
                self.list()
            }
            Token::LeftBrace => {
                self.next();
                self.object()
            }
            _ => Err(self.unexpected("an identifier, '*', '[' or '{'")),
        }
    }

    /// The right side of a projection.
    fn projected(&mut self, binding: u8) -> Parsed {
        match self.peek() {
            token if power(token) < PROJECTION_STOP => Ok((Node::Identity, 1)),
            Token::LeftBracket | Token::Filter => self.expression(binding),
            Token::Dot => {
                self.next();
                self.after_dot(binding)
            }
            _ => Err(self.unexpected("'.', '[', '[?' or an operator")),
        }
    }

    fn flatten(&mut self, left: Tree) -> Parsed {
        self.next();
        let flat = self.one(Node::Flatten, left)?;
        let right = self.projected(FLATTEN)?;
        self.two(Node::Projection, flat, right)
    }

    fn filter(&mut self, left: Tree) -> Parsed {
        self.next();
        let condition = self.expression(0)?;
        self.expect(&Token::RightBracket)?;
        let right =
            if *self.peek() == Token::Flatten { (Node::Identity, 1) } else { self.projected(FILTER)? };
        let depth = self.check_depth(left.1.max(condition.1).max(right.1) + 1)?;
        let node = FilterNode { left: left.0, condition: condition.0, right: right.0 };
        Ok((Node::Filter(Box::new(node)), depth))
    }

    /// What follows `[`: an index, a slice, `*`, or, as first thing in an expression, a multi-select list.
    fn bracket(&mut self, left: Tree, first: bool) -> Parsed {
        match self.peek() {
            Token::Number(_) | Token::Colon => self.index_or_slice(left),
            Token::Star if !first || *self.peek_second() == Token::RightBracket => {
                self.next();
                self.expect(&Token::RightBracket)?;
                let right = self.projected(STAR)?;
                self.two(Node::Projection, left, right)
            }
            _ if first => self.list(),
            _ => Err(self.unexpected("a number, ':' or '*'")),
        }
    }

    fn index_or_slice(&mut self, left: Tree) -> Parsed {
        let mut parts = [None; 3];
        let mut part = 0;
        loop {
            match *self.peek() {
                Token::Number(number) if parts[part].is_none() => parts[part] = Some(number),
                Token::Colon if part < 2 => part += 1,
                Token::RightBracket => break,
                _ => return Err(self.unexpected("a number, ':' or ']'")),
            }
            self.next();
        }
        self.next();
        if let (0, Some(index)) = (part, parts[0]) {
            return self.two(Node::Sub, left, (Node::Index(index), 1));
        }
        let slice = Node::Slice(Slice { start: parts[0], stop: parts[1], step: parts[2] });
        let sliced = self.two(Node::Sub, left, (slice, 1))?;
        let right = self.projected(STAR)?;
        self.two(Node::Projection, sliced, right)
    }

    fn list(&mut self) -> Parsed {
        let (mut nodes, mut depth) = (Vec::new(), 0);
        loop {
            let (node, deep) = self.expression(0)?;
            nodes.push(node);
            depth = depth.max(deep);
            if self.take(&Token::RightBracket) {
                return Ok((Node::List(nodes), self.check_depth(depth + 1)?));
            }
            if !self.take(&Token::Comma) {
                return Err(self.unexpected("',' or ']'"));
            }
        }
    }

    fn object(&mut self) -> Parsed {
        let (mut entries, mut depth) = (Vec::new(), 0);
        loop {
            if !matches!(self.peek(), Token::Identifier(_) | Token::Quoted(_)) {
                return Err(self.unexpected("a key"));
            }
            let key = match self.next() {
                Token::Quoted(name) => name,
                Token::Identifier(name) => name.to_owned(),
                _ => String::new(),
            };
            self.expect(&Token::Colon)?;
            let (node, deep) = self.expression(0)?;
            entries.push((key, node));
            depth = depth.max(deep);
            if self.take(&Token::RightBrace) {
                return Ok((Node::Object(entries), self.check_depth(depth + 1)?));
            }
            if !self.take(&Token::Comma) && self.dialect == Dialect::Standard {
                return Err(self.unexpected("',' or '}'"));
            }
        }
    }

    fn call(&mut self) -> Parsed {
        let offset = self.offset();
        let name = match self.next() {
            Token::Identifier(name) => name,
            _ => "",
        };
        self.next();
        let (mut arguments, mut depth) = (Vec::new(), 0);
        while !self.take(&Token::RightParenthesis) {
            let (node, deep) = self.expression(0)?;
            arguments.push(node);
            depth = depth.max(deep);
            let comma = self.take(&Token::Comma);
            let closed = *self.peek() == Token::RightParenthesis;
            // The fork takes arguments without commas between them, and a comma after the last one.
            if comma == closed && self.dialect == Dialect::Standard {
                return Err(self.unexpected(if comma { "an argument" } else { "',' or ')'" }));
            }
        }
        let function = functions::function(self.dialect, name);
        let call = Call { name: name.to_owned(), function, arguments, offset, regex: OnceLock::new() };
        Ok((Node::Call(Box::new(call)), self.check_depth(depth + 1)?))
    }
}
