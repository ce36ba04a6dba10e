//! Recognises a program that reads the files of a product one after another, each to its end, as `cp -r`,
//! `rsync` and `tar` do (read-path.md 1.3).

/// The files of a product in the orders in which programs go through them, and how far one has come.
#[derive(Debug)]
pub struct Walk {
    orders: Vec<Vec<u64>>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Default)]
struct Step {
    at: Option<usize>,
    /// Files that were opened next after each other.
    streak: usize,
}

impl Walk {
    /// Each of `orders` holds the same files.
    pub fn new(orders: Vec<Vec<u64>>) -> Self {
        let steps = vec![Step::default(); orders.len()];
        Self { orders, steps }
    }

    /// Notes that `file` was opened. `read_before`: the file before it had been read to its end.
    pub fn opened(&mut self, file: u64, read_before: bool) {
        for (order, step) in self.orders.iter().zip(&mut self.steps) {
            let at = order.iter().position(|other| *other == file);
            if at == step.at {
                continue;
            }
            let next = step.at.map_or(0, |at| at + 1);
            step.streak = if read_before && at == Some(next) { step.streak + 1 } else { 0 };
            step.at = at;
        }
    }

    /// The files that come next, in their order; none unless the last two were opened in one.
    pub fn next(&self) -> &[u64] {
        let steps = self.orders.iter().zip(&self.steps);
        let likely = steps.filter(|(_, step)| step.streak > 0).max_by_key(|(_, step)| step.streak);
        match likely.and_then(|(order, step)| order.get(step.at? + 1..)) {
            Some(rest) => rest,
            None => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk() -> Walk {
        Walk::new(vec![vec![1, 2, 3, 4, 5], vec![5, 2, 4, 1, 3]])
    }

    #[test]
    fn two_files_in_one_order_foretell_the_third() {
        let mut walk = walk();
        walk.opened(2, false);
        assert!(walk.next().is_empty());
        walk.opened(4, true);
        assert_eq!(walk.next(), [1, 3]);
        // Opened once more.
        walk.opened(4, true);
        assert_eq!(walk.next(), [1, 3]);
    }

    #[test]
    fn a_file_that_was_not_read_to_its_end_foretells_nothing() {
        let mut walk = walk();
        for file in [1, 2, 3] {
            walk.opened(file, false);
        }
        assert!(walk.next().is_empty());
    }

    #[test]
    fn leaving_the_order_ends_it() {
        let mut walk = walk();
        walk.opened(1, false);
        walk.opened(2, true);
        assert_eq!(walk.next(), [3, 4, 5]);
        walk.opened(5, true);
        assert!(walk.next().is_empty());
        walk.opened(77, true);
        assert!(walk.next().is_empty());
    }
}
