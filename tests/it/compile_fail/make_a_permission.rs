use project_vault::permission::{Authorized, CanWrite};
use project_vault::domain::ProjectId;

fn forge(project: ProjectId) -> Authorized<CanWrite> {
    Authorized { on: project }
}

fn main() {}
