//! Erasing events that are past their retention, so that what is left of their chains can still be verified.

use super::Vault;
use super::ledger::cut_fields;
use crate::crypto::Record;
use crate::domain::Result;
use crate::store::records::Cut;
use std::time::Duration;

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
            let key = self.audit_key(&mut tx).await?;
            let cut_now = chain.cut.as_ref().map_or(0, |cut| cut.seq);
            if let Some(link) = tx.cut_before(chain.id, before).await?
                && link.seq > cut_now
            {
                let fields = cut_fields(chain.id, link.seq, &link.mac);
                let mac = key.mac(Record::Cut, fields.iter().map(|field| Some(field.as_str()))).to_vec();
                let cut = Cut { seq: link.seq, event_mac: link.mac, mac };
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
