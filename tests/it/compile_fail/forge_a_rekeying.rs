use project_vault::permission::Rekeying;
use project_vault::domain::ProjectId;

fn forge(project: ProjectId) -> Rekeying {
    Rekeying { project }
}

fn main() {}
