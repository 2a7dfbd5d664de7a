use project_vault::permission::{Authorized, CanList};
use project_vault::store::Tx;
use project_vault::store::records::EntryRow;

fn write(tx: &mut Tx, by: &Authorized<CanList>, row: &EntryRow) {
    let _unpolled = tx.insert_entry(by, row);
}

fn main() {}
