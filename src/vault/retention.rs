//! Erasing events that are past their retention, so that what is left of their chains can still be verified.

use super::Vault;
use super::ledger::cut_fields;
use crate::crypto::Record;
use crate::domain::Result;
use crate::store::records::Cut;
use std::time::Duration;

/// Under this name servers take turns.
const LOCK: &str = "audit-retention";

impl Vault {
    /// Erases every event that is older than `retention`, but the newest change of each entry there is: a row is held against it.
    /// How many are gone. Several servers may do it at once.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; what is gone stays gone.
    pub async fn sweep_events(&self, retention: Duration) -> Result<u64> {
        let before = self.now().minus(retention);
        let chains = self.0.store.conn().await?.chain_rows().await?;
        let mut gone = 0;
        for chain in chains {
            let mut tx = self.0.store.begin().await?;
            tx.lock_name(LOCK).await?;
            let key = self.audit_key(&mut tx).await?;
            // Another server may have cut it meanwhile.
            let cut_now = tx.chain_row(chain.id).await?.and_then(|chain| chain.cut);
            let link = tx.cut_before(chain.id, before).await?;
            let cut = match link.filter(|link| cut_now.as_ref().is_none_or(|cut| link.seq > cut.seq)) {
                Some(link) => {
                    let fields = cut_fields(chain.id, link.seq, &link.mac);
                    let mac = key.mac(Record::Cut, fields.iter().map(|field| Some(field.as_str()))).to_vec();
                    Some(Cut { seq: link.seq, event_mac: link.mac, mac })
                }
                // What was kept may have been an entry's newest change then, and is no longer.
                None => cut_now,
            };
            if let Some(cut) = cut {
                gone += tx.cut_chain(chain.id, &cut).await? as u64;
            }
            tx.commit().await?;
        }
        if gone > 0 {
            self.forget_erased().await;
        }
        Ok(gone)
    }
}
