//! The size that is shown of a file which is looked up: known, asked for, or estimated.

use super::Filesystem;
use crate::error::Result;
use crate::filesystem::inodes::Size;
use crate::filesystem::looks::Worth;
use crate::namespace::{Content, Node};

impl Filesystem {
    /// The size to be shown of `node`, which was looked up in `parent`: what it may cost depends on what for.
    pub(super) async fn size_for(&self, node: &Node, parent: u64, name: &str, caller: u32) -> Result<Size> {
        let Node::File(file) = node else { return Ok(Size::Is(0)) };
        let Content::Remote(remote) = &file.content else { return self.size(node).await.map(Size::Is) };
        if self.0.store.known_length(remote).is_some() {
            return self.size(node).await.map(Size::Is);
        }
        let looks = &self.0.inodes;
        let worth = match looks.is_wanted(parent, name) {
            true => Worth::Download,
            false => looks.looks(parent, |looks| looks.begun(caller)).unwrap_or(Worth::Download),
        };
        if worth == Worth::Download {
            self.goes_to(file);
        }
        let size = async {
            if worth == Worth::Request {
                self.0.store.ask_length(remote).await?;
            }
            match file.estimate.filter(|_| worth != Worth::Download) {
                Some(estimate) if self.0.store.known_length(remote).is_none() => Ok(Size::MayBe(estimate)),
                _ => self.size(node).await.map(Size::Is),
            }
        };
        let size = size.await;
        looks.looks(parent, |looks| looks.answered(caller, size.is_ok()));
        size
    }
}
