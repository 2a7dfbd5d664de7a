//! Connections: pages of lists (the Relay cursor connections specification).

use crate::vault::Page;
use async_graphql::connection::PageInfo;

/// The place of a page in its list.
pub(super) fn page_info<T>(page: &Page<T>) -> PageInfo {
    PageInfo {
        has_previous_page: page.has_previous,
        has_next_page: page.has_next,
        start_cursor: page.items.first().map(|(_, cursor)| cursor.clone()),
        end_cursor: page.resume_after.clone().or_else(|| page.items.last().map(|(_, cursor)| cursor.clone())),
    }
}

/// Declares the connection and the edge of a type of elements; further fields of the connection
/// stand in braces.
macro_rules! connection {
    ($connection:ident { $page:ident: Page<$node:ident> $(, $field:ident: $ty:ty)* }, $edge:ident $(, { $($more:tt)* })?) => {
        /// An element with its cursor.
        #[derive(async_graphql::SimpleObject)]
        pub(super) struct $edge {
            /// The element at the cursor.
            node: $node,
            /// Pass it as `after` to get the elements that follow this one.
            cursor: String,
        }

        /// One page of a list, as the Relay cursor specification has it.
        pub(super) struct $connection {
            pub(super) $page: Page<$node>,
            $(pub(super) $field: $ty,)*
        }

        /// One page of a list, as the Relay cursor specification has it.
        #[async_graphql::Object]
        impl $connection {
            /// The elements of this page, each with its cursor.
            async fn edges(&self) -> Vec<$edge> {
                self.$page.items.iter().map(|(node, cursor)| $edge { node: node.clone(), cursor: cursor.clone() }).collect()
            }

            /// The elements of this page.
            async fn nodes(&self) -> Vec<$node> {
                self.$page.items.iter().map(|(node, _)| node.clone()).collect()
            }

            /// Whether there are elements before and after this page, and the cursors to get them.
            async fn page_info(&self) -> async_graphql::connection::PageInfo {
                crate::graphql::connections::page_info(&self.$page)
            }

            $($($more)*)?
        }
    };
}
pub(super) use connection;
