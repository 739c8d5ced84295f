//! Runs a program over a payload and notes where the wanted fields lie.

use std::sync::Arc;

use super::cursor::{Cursor, MAX_DEPTH};
use super::program::{Op, Program, StateId, Step};
use super::skip::{checked_key, skip};
use super::types::{Kind, Logical, NodeId};
use crate::error::FormatError;
use crate::found::{AvroForm, AvroShape, Form, Found, SizedBlock, Slot};
use crate::names::Names;

/// Finds fields and stops after the last one wanted.
pub(crate) fn find(
    program: &Program,
    payload: &[u8],
    found: &mut Found,
) -> Result<(), FormatError> {
    let cursor = Cursor::new(payload, MAX_DEPTH);
    let mut walk = Walk::<false> {
        program,
        cursor,
        found,
        block: 0,
    };
    walk.visit(program.root, None, true)
}

/// Finds fields and checks the payload to its last byte.
pub(crate) fn find_checked(
    program: &Program,
    payload: &[u8],
    found: &mut Found,
    depth: usize,
) -> Result<(), FormatError> {
    let cursor = Cursor::new(payload, depth.min(MAX_DEPTH));
    let mut walk = Walk::<true> {
        program,
        cursor,
        found,
        block: 0,
    };
    walk.visit(program.root, None, false)?;
    walk.cursor.end()
}

struct Walk<'a, 'f, const CHECK: bool> {
    program: &'f Program,
    cursor: Cursor<'a>,
    found: &'f mut Found,
    /// Index + 1 of the innermost sized block around the cursor.
    block: u32,
}

impl<'f, const CHECK: bool> Walk<'_, 'f, CHECK> {
    /// Visits a value. `union`: where the union it is a branch of begins, and its type. `tail`:
    /// nothing is wanted after this value, so it need not be read to its end.
    fn visit(
        &mut self,
        id: StateId,
        union: Option<(usize, NodeId)>,
        tail: bool,
    ) -> Result<(), FormatError> {
        let program = self.program;
        let state = &program.states[id as usize];
        match &state.op {
            Op::Union(branches) => {
                let start = self.cursor.pos();
                let index = self.cursor.index(branches.len(), "union branch")?;
                match branches[index] {
                    Some(branch) => self.visit(branch, Some((start, state.node)), tail),
                    None if tail => Ok(()),
                    None => match program.types.kind(state.node) {
                        Kind::Union(nodes) => self.skip(nodes[index]),
                        _ => Ok(()),
                    },
                }
            }
            Op::Array(item) => self.array(*item),
            op => {
                if state.paths.is_empty() {
                    return self.inside(op, state.node, tail);
                }
                let first = self.found.slots.len();
                self.begin_slots(&state.paths, state.node, union);
                self.inside(op, state.node, false)?;
                let end = self.cursor.pos() as u32;
                for slot in &mut self.found.slots[first..first + state.paths.len()] {
                    slot.end = end;
                }
                Ok(())
            }
        }
    }

    fn begin_slots(&mut self, paths: &[u32], node: NodeId, union: Option<(usize, NodeId)>) {
        let value = self.cursor.pos();
        let (start, declared) = union.unwrap_or((value, node));
        let types = &self.program.types;
        let actual = types.node(node);
        let shape = match (&actual.kind, actual.logical) {
            (_, Logical::Decimal { .. } | Logical::BigDecimal) => AvroShape::Other,
            (Kind::Null, _) => AvroShape::Null,
            (Kind::Boolean, _) => AvroShape::Boolean,
            (Kind::Int | Kind::Long, _) => AvroShape::Integer,
            (Kind::Float, _) => AvroShape::Float,
            (Kind::Double, _) => AvroShape::Double,
            (Kind::String, _) => AvroShape::String,
            (Kind::Bytes, Logical::None) => AvroShape::Bytes,
            _ => AvroShape::Other,
        };
        for path in paths {
            // Most fields read without their schema; only the others pay for a reference to it.
            let types = (shape == AvroShape::Other).then(|| Arc::clone(types));
            self.found.slots.push(Slot {
                path: *path,
                start: start as u32,
                value: value as u32,
                end: value as u32,
                block: self.block,
                form: Form::Avro(AvroForm {
                    declared,
                    actual: node,
                    shape,
                    types,
                }),
            });
        }
    }

    fn inside(&mut self, op: &'f Op, node: NodeId, tail: bool) -> Result<(), FormatError> {
        match op {
            Op::Record { steps, last } => {
                self.cursor.enter()?;
                for (position, step) in steps.iter().enumerate() {
                    let ends = tail && position == *last;
                    match step {
                        Step::Skip(field) => self.skip(*field)?,
                        Step::Visit(field) => self.visit(*field, None, ends)?,
                    }
                    if ends {
                        break;
                    }
                }
                self.cursor.leave();
                Ok(())
            }
            Op::Map { wanted, value } => self.map(wanted, *value),
            _ if tail => Ok(()),
            _ => self.skip(node),
        }
    }

    fn skip(&mut self, node: NodeId) -> Result<(), FormatError> {
        skip::<CHECK>(&self.program.types, node, &mut self.cursor)
    }

    fn array(&mut self, item: StateId) -> Result<(), FormatError> {
        let node = self.program.states[item as usize].node;
        self.blocks(self.program.types.node(node).min_size, |walk| {
            walk.visit(item, None, false)
        })
    }

    fn map(&mut self, wanted: &'f [(Box<str>, StateId)], value: NodeId) -> Result<(), FormatError> {
        let item_size = self.program.types.node(value).min_size.saturating_add(1);
        let mut names = CHECK.then(Names::default);
        self.blocks(item_size, |walk| {
            let key = match &mut names {
                Some(names) => checked_key(&mut walk.cursor, names)?,
                None => walk.cursor.bytes()?,
            };
            match wanted.iter().find(|(name, _)| name.as_bytes() == key) {
                Some((_, state)) => walk.visit(*state, None, false),
                None => walk.skip(value),
            }
        })
    }

    fn blocks(
        &mut self,
        item_size: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        self.cursor.enter()?;
        loop {
            let block = self.cursor.block(item_size)?;
            let start = self.cursor.pos();
            let around = self.block;
            if let (Some((size_at, size)), 1..) = (&block.size, block.count) {
                self.found.blocks.push(SizedBlock {
                    around,
                    size_at: size_at.clone(),
                    size: *size,
                });
                self.block = self.found.blocks.len() as u32;
            }
            for _ in 0..block.count {
                item(self)?;
            }
            if let Some((_, size)) = block.size {
                self.cursor.end_block(start, size)?;
                self.block = around;
            }
            if block.count == 0 {
                break;
            }
        }
        self.cursor.leave();
        Ok(())
    }
}
