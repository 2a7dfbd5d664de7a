use project_vault::authz::Rekeying;
use project_vault::domain::ProjectId;

fn forge(project: ProjectId) -> Rekeying {
    Rekeying { project }
}

fn main() {}
