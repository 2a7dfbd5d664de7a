use project_vault::store::Tx;
use project_vault::store::records::EntryRow;

async fn write(tx: &mut Tx, row: &EntryRow) {
    let _ = tx.insert_entry_row(row).await;
}

fn main() {}
