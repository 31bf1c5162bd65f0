//! Splits JSON text into tokens, at any depth, without recursion.

use std::ops::Range;

/// The token at a place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Null,
    Bool(bool),
    /// The place of its digits.
    Number(Range<usize>),
    /// Its place, with its quotes, and whether it has escapes.
    Text(Range<usize>, bool),
    /// A text before a colon.
    Key(Range<usize>, bool),
    BeginArray,
    BeginObject,
    End,
}

/// The tokens that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
    Nothing,
}

/// The text is not JSON at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoJson;

#[derive(Debug)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    next: Next,
    /// The closing character of each open array and object.
    open: Vec<u8>,
    /// Whether there was white space between tokens, which is insignificant.
    pub(super) has_space: bool,
    /// Whether there was an escape of a surrogate, which may be half of a pair.
    pub(super) has_surrogate: bool,
    pub(super) deepest: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            next: Next::Value,
            open: Vec::new(),
            has_space: false,
            has_surrogate: false,
            deepest: 0,
        }
    }

    /// Returns the number of arrays and objects around the next token.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Returns the place after the last token, or the place of the fault.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Returns the next token; none at the end of a text that is one value.
    pub(super) fn next(&mut self) -> Result<Option<Token>, NoJson> {
        if self.next == Next::CommaOrEnd {
            return match self.skip_space() {
                Some(b',') => {
                    self.at += 1;
                    let is_object = self.open.last() == Some(&b'}');
                    self.next = if is_object { Next::Key } else { Next::Value };
                    self.begin()
                }
                Some(byte) => self.close(byte),
                None => Err(NoJson),
            };
        }
        self.begin()
    }

    fn begin(&mut self) -> Result<Option<Token>, NoJson> {
        let byte = match (self.skip_space(), self.next) {
            (None, Next::Nothing) => return Ok(None),
            (None, _) | (Some(_), Next::Nothing) => return Err(NoJson),
            (Some(byte), _) => byte,
        };
        if matches!(self.next, Next::ValueOrEnd | Next::KeyOrEnd) && matches!(byte, b']' | b'}') {
            return self.close(byte);
        }
        if matches!(self.next, Next::Key | Next::KeyOrEnd) {
            let (range, is_escaped) = self.text(byte)?;
            if self.skip_space() != Some(b':') {
                return Err(NoJson);
            }
            self.at += 1;
            self.next = Next::Value;
            return Ok(Some(Token::Key(range, is_escaped)));
        }
        let token = match byte {
            b'"' => {
                let (range, is_escaped) = self.text(byte)?;
                Token::Text(range, is_escaped)
            }
            b'[' => return Ok(Some(self.open(b']', Next::ValueOrEnd, Token::BeginArray))),
            b'{' => return Ok(Some(self.open(b'}', Next::KeyOrEnd, Token::BeginObject))),
            b'n' => self.word(b"null", Token::Null)?,
            b't' => self.word(b"true", Token::Bool(true))?,
            b'f' => self.word(b"false", Token::Bool(false))?,
            _ => Token::Number(self.number()?),
        };
        self.value_ended();
        Ok(Some(token))
    }

    fn value_ended(&mut self) {
        self.next = if self.open.is_empty() { Next::Nothing } else { Next::CommaOrEnd };
    }

    fn open(&mut self, end: u8, next: Next, token: Token) -> Token {
        self.at += 1;
        self.open.push(end);
        self.deepest = self.deepest.max(self.open.len());
        self.next = next;
        token
    }

    fn close(&mut self, byte: u8) -> Result<Option<Token>, NoJson> {
        if self.open.pop() != Some(byte) {
            return Err(NoJson);
        }
        self.at += 1;
        self.value_ended();
        Ok(Some(Token::End))
    }

    fn skip_space(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.has_space = true;
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8], token: Token) -> Result<Token, NoJson> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(NoJson);
        }
        self.at += word.len();
        Ok(token)
    }

    fn text(&mut self, quote: u8) -> Result<(Range<usize>, bool), NoJson> {
        if quote != b'"' {
            return Err(NoJson);
        }
        let start = self.at;
        let mut is_escaped = false;
        self.at += 1;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((start..self.at, is_escaped));
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.at += self.escape()?;
                }
                // A control character, or the end.
                _ => return Err(NoJson),
            }
        }
    }

    /// Returns the length of the escape that begins here.
    fn escape(&mut self) -> Result<usize, NoJson> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6).ok_or(NoJson)?;
                self.has_surrogate |=
                    matches!(digits, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(6) } else { Err(NoJson) }
            }
            _ => Err(NoJson),
        }
    }

    fn number(&mut self) -> Result<Range<usize>, NoJson> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(start..self.at)
    }

    /// Reads at least one digit.
    fn digits(&mut self) -> Result<(), NoJson> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(NoJson) } else { Ok(()) }
    }
}

/// Returns the number of bytes before a quote, a backslash or a control character. Most bytes are
/// plain, so eight are checked at once.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // Marks bytes that are zero, and possibly some above the first of them.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut length = 0;
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = controls | zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c));
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    length + bytes[length..].iter().take_while(is_plain).count()
}
