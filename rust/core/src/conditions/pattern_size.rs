//! The cost of a pattern's syntax once it is translated, estimated before that takes memory.
//!
//! Translating writes each class out as its ranges, and one of all letters has hundreds: so three characters of a
//! pattern can stand for kilobytes, and for more work if cases are to be folded. Repetitions are no concern here: they
//! are written out by the compiler that comes after, which has a limit of its own.

use core::convert::Infallible;

use regex_syntax::ast::{
    Ast, ClassPerl, ClassPerlKind, ClassSetItem, Flag, FlagsItemKind, Visitor, visit,
};

/// Bytes of a node of the translated tree; texts, which most nodes are, become one.
const NODE: usize = 32;
/// Bytes of a range of characters.
const RANGE: usize = 8;
/// Ranges of a class such as `\w` or `\pL`.
const MANY_RANGES: usize = 800;
/// Factor of the work and room of a class that must match in either case.
const FOLDING: usize = 4;

/// Return bytes that a pattern's tree takes at most, and about the work of making it in the same unit.
#[must_use]
pub fn translated_size(ast: &Ast) -> usize {
    let size = Size::default();
    match visit(ast, size) {
        Ok(size) => size,
        Err(never) => match never {},
    }
}

#[derive(Default)]
struct Size {
    nodes: usize,
    ranges: usize,
    /// Growth by case folding of the widest characters' ranges that were written as such.
    folded: usize,
    /// Number of open brackets: each works through all that is within it.
    brackets: usize,
    ignores_case: bool,
}

impl Size {
    fn ranges(&mut self, count: usize) {
        self.ranges += count * self.brackets.max(1);
    }

    fn perl(&mut self, class: &ClassPerl) {
        self.ranges(match class.kind {
            ClassPerlKind::Digit => 80,
            ClassPerlKind::Space => 12,
            ClassPerlKind::Word => MANY_RANGES,
        });
    }

    fn flags(&mut self, flags: &regex_syntax::ast::Flags) {
        self.ignores_case |= flags
            .items
            .iter()
            .any(|item| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive));
    }
}

impl Visitor for Size {
    type Output = usize;
    type Err = Infallible;

    fn finish(self) -> Result<usize, Infallible> {
        let ranges = if self.ignores_case {
            FOLDING * (self.ranges + self.folded)
        } else {
            self.ranges
        };
        Ok(self.nodes * NODE + ranges * RANGE)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Infallible> {
        self.nodes += 1;
        match ast {
            Ast::ClassUnicode(_) => self.ranges(MANY_RANGES),
            Ast::ClassPerl(class) => self.perl(class),
            Ast::ClassBracketed(_) => self.brackets += 1,
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Group(group) => {
                if let Some(flags) = group.flags() {
                    self.flags(flags);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), Infallible> {
        if matches!(ast, Ast::ClassBracketed(_)) {
            self.brackets -= 1;
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Infallible> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Union(_) => {}
            ClassSetItem::Literal(_) => self.ranges(1),
            ClassSetItem::Range(range) => {
                self.ranges(1);
                let width = u32::from(range.end.c).saturating_sub(u32::from(range.start.c));
                self.folded += MANY_RANGES.min(width as usize) * self.brackets.max(1);
            }
            ClassSetItem::Ascii(_) => self.ranges(4),
            ClassSetItem::Unicode(_) => self.ranges(MANY_RANGES),
            ClassSetItem::Perl(class) => self.perl(class),
            ClassSetItem::Bracketed(_) => self.brackets += 1,
        }
        Ok(())
    }

    fn visit_class_set_item_post(&mut self, item: &ClassSetItem) -> Result<(), Infallible> {
        if matches!(item, ClassSetItem::Bracketed(_)) {
            self.brackets -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::translated_size;
    use regex_syntax::ast::parse::Parser;

    fn size(pattern: &str) -> usize {
        translated_size(&Parser::new().parse(pattern).unwrap())
    }

    #[test]
    fn classes_count_as_much_as_they_are_written_out() {
        assert!(size(r"\pL") > 20 * size("a"));
        assert!(size(r"(?i)\pL") > 3 * size(r"\pL"));
        assert!(size(r"(?i:\w)") > 3 * size(r"\w"));
        assert!(size(r"[[[\pL]]]") > 2 * size(r"[\pL]"));
        assert!(size(r"[^\pL\pN--\d]") > size(r"\pL\pN"));
        assert!(size(r"(?i)[\x{0}-\x{10FFFF}]") > size(r"(?i)[a-z]"));
        assert_eq!(size(r"\w{1,1000}"), size(r"\w{1,2}"));
    }
}
