//! What the kernel tells of a table, decoded. It takes any bytes: what does not decode is not there.

use std::borrow::Cow;

use super::expr::{Expr, SetRef, Value};
use super::lower::{Base, Element, Set};
use super::uapi::{attr, family, msg, set_flag, udata};
use super::wire::{Attr, Attrs, Message, Messages, user_data};

/// A table with its chains and rules, in the kernel's order.
#[derive(Debug, Default)]
pub(crate) struct Found<'a> {
    pub(crate) state: Option<FoundTable<'a>>,
    pub(crate) chains: Vec<FoundChain<'a>>,
    pub(crate) rules: Vec<FoundRule<'a>>,
}

/// The table itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundTable<'a> {
    pub(crate) comment: Option<&'a str>,
    pub(crate) flags: u32,
    pub(crate) owner: Option<u32>,
}

/// A chain.
#[derive(Debug)]
pub(crate) struct FoundChain<'a> {
    pub(crate) table: &'a str,
    pub(crate) name: &'a str,
    pub(crate) base: Option<Base<'a>>,
    pub(crate) comment: Option<&'a str>,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct FoundRule<'a> {
    pub(crate) chain: &'a str,
    pub(crate) comment: Option<&'a str>,
    pub(crate) exprs: Vec<Expr<'a>>,
    pub(crate) sets: Vec<Set>,
}

impl<'a> Found<'a> {
    /// Decodes what belongs to one table of family inet.
    pub(crate) fn decode(bytes: &'a [u8], table: &str) -> Self {
        let mut found = Self::default();
        for message in Messages(bytes).filter(|message| message.family() == family::INET) {
            match message.tables_kind() {
                Some(msg::NEWTABLE) => {
                    if let Some(decoded) = FoundTable::decode(message.attrs(), table) {
                        found.state = Some(decoded);
                    }
                }
                Some(msg::NEWCHAIN) => {
                    found.chains.extend(FoundChain::decode(&message).filter(|chain| chain.table == table));
                }
                Some(msg::NEWRULE) => found.rules.extend(FoundRule::decode(message.attrs(), table)),
                _ => {}
            }
        }
        found
    }

    /// The sets that rules look into, each once.
    pub(crate) fn set_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.rules.iter().flat_map(FoundRule::set_names).map(str::to_string).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Puts the sets in the rules that look into them, where a rule that was meant has its own.
    pub(crate) fn resolve_sets(&mut self, sets: &[(String, Set)]) {
        for rule in &mut self.rules {
            for expr in &mut rule.exprs {
                if let Expr::Lookup { set, .. } = expr
                    && let SetRef::Named(name) = set
                    && let Some((_, content)) = sets.iter().find(|(known, _)| known == name)
                {
                    rule.sets.push(content.clone());
                    *set = SetRef::Own(rule.sets.len() - 1);
                }
            }
        }
    }
}

impl<'a> FoundTable<'a> {
    fn decode(attrs: Attrs<'a>, table: &str) -> Option<Self> {
        let name = attrs.find(attr::TABLE_NAME)?.text()?;
        (name == table).then(|| Self {
            comment: attrs.find(attr::TABLE_USERDATA).and_then(comment),
            flags: attrs.find(attr::TABLE_FLAGS).and_then(|flags| flags.be32()).unwrap_or(0),
            owner: attrs.find(attr::TABLE_OWNER).and_then(|owner| owner.be32()),
        })
    }
}

impl<'a> FoundChain<'a> {
    /// A chain of any table, where the message is about one.
    pub(crate) fn decode(message: &Message<'a>) -> Option<Self> {
        if message.tables_kind() != Some(msg::NEWCHAIN) {
            return None;
        }
        let attrs = message.attrs();
        Some(Self {
            table: attrs.find(attr::CHAIN_TABLE)?.text()?,
            name: attrs.find(attr::CHAIN_NAME)?.text()?,
            base: attrs.find(attr::CHAIN_HOOK).and_then(|hook| base(hook, attrs)),
            comment: attrs.find(attr::CHAIN_USERDATA).and_then(comment),
        })
    }
}

fn base<'a>(hook: Attr<'a>, attrs: Attrs<'a>) -> Option<Base<'a>> {
    let number = |kind| hook.nested().find(kind)?.be32();
    Some(Base {
        kind: Cow::Borrowed(attrs.find(attr::CHAIN_TYPE).and_then(|kind| kind.text()).unwrap_or("")),
        hook: number(attr::HOOK_NUM)?,
        priority: number(attr::HOOK_PRIORITY)? as i32,
        policy: attrs.find(attr::CHAIN_POLICY).and_then(|policy| policy.be32()).unwrap_or(1),
    })
}

impl<'a> FoundRule<'a> {
    fn decode(attrs: Attrs<'a>, table: &str) -> Option<Self> {
        if attrs.find(attr::RULE_TABLE)?.text()? != table {
            return None;
        }
        let elements = attrs.find(attr::RULE_EXPRESSIONS).map_or(Attrs(&[]), |list| list.nested());
        Some(Self {
            chain: attrs.find(attr::RULE_CHAIN)?.text()?,
            comment: attrs.find(attr::RULE_USERDATA).and_then(comment),
            exprs: elements.map(|element| Expr::decode(element.nested())).collect(),
            sets: Vec::new(),
        })
    }

    fn set_names(&self) -> impl Iterator<Item = &str> {
        self.exprs.iter().filter_map(|expr| match expr {
            Expr::Lookup { set: SetRef::Named(name), .. } => Some(name.as_ref()),
            _ => None,
        })
    }
}

pub(super) fn comment<'a>(data: Attr<'a>) -> Option<&'a str> {
    let text = user_data(data.data, udata::COMMENT)?;
    Attr { kind: 0, data: text }.text()
}

/// Flags and elements of the one set whose messages these are.
pub(crate) fn decode_set(bytes: &[u8]) -> Set {
    let mut set = Set { flags: 0, elements: Vec::new() };
    for message in Messages(bytes) {
        match message.tables_kind() {
            Some(msg::NEWSET) => {
                set.flags = message.attrs().find(attr::SET_FLAGS).and_then(|f| f.be32()).unwrap_or(0);
            }
            Some(msg::NEWSETELEM) => {
                let list = message.attrs().find(attr::ELEMENTS_LIST).map_or(Attrs(&[]), |list| list.nested());
                set.elements.extend(list.filter_map(|element| decode_element(element.nested())));
            }
            _ => {}
        }
    }
    set.elements.sort();
    set
}

fn decode_element(attrs: Attrs<'_>) -> Option<Element> {
    let key = attrs.find(attr::ELEMENT_KEY)?.nested().find(attr::DATA_VALUE)?;
    let flags = attrs.find(attr::ELEMENT_FLAGS).and_then(|flags| flags.be32()).unwrap_or(0);
    Some(Element { key: Value::new(key.data)?, end: flags & set_flag::ELEMENT_INTERVAL_END != 0 })
}

/// Decodes bytes as if they were dumps of this table and prints what it understood: the whole way of untrusted
/// bytes, for fuzzing.
pub fn describe_dump(bytes: &[u8], table: &str) -> String {
    let mut found = Found::decode(bytes, table);
    let set = decode_set(bytes);
    let names = found.set_names();
    found.resolve_sets(&names.into_iter().map(|name| (name, set.clone())).collect::<Vec<_>>());
    let rules: Vec<String> = found
        .rules
        .iter()
        .map(|rule| format!("{}: {}", rule.chain, super::expr::Printed::new(&rule.exprs, &rule.sets)))
        .collect();
    format!("{:?} {:?} {rules:?}", found.state, found.chains)
}
