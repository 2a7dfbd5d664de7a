//! `exec --env-file`: a file of variables, some of which name secrets.

use super::served::{PASSWORD_VALUE, Served, TOKEN_VALUE, run};

struct EnvFile(tempfile::TempDir);

impl EnvFile {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("env"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().join("env").display().to_string()
    }
}

both! {
    async fn references_become_their_variables_and_nothing_else_is_asked_for(world: World) {
        let served = Served::start(&world).await;
        let file = EnvFile::new("# for the deploy\nGH=vault:TOKEN\nexport SAME='vault:TOKEN'\nAPI=vault:PASSWORD\n\
            MODE=debug # plain\nEMPTY=\nPLAIN=\"two  words\"\n");
        let opened = world.vault.agents().decryptions();
        let script = "echo \"$GH,$SAME,$API,$MODE,${EMPTY-unset},$PLAIN,${TOKEN-unset},${KEY-unset},${PASSWORD-unset}\"";
        let ran = run(served.exec(&["--env-file", &file.path(), "--no-redact"], script)).await;
        let expected = format!("{TOKEN_VALUE},{TOKEN_VALUE},{PASSWORD_VALUE},debug,,two  words,unset,unset,unset\n");
        assert_eq!((ran.out, ran.err.as_str(), ran.status), (expected, "", 0));
        assert_eq!(world.vault.agents().decryptions() - opened, 2);
        let ran = run(served.exec(&["--env-file", &file.path()], "echo \"$GH $API $MODE\"; printf %s \"$GH\" | base64")).await;
        assert_eq!(ran.out, "[TOKEN] [PASSWORD] debug\n[TOKEN]\n");
        // Names of --only have their own variables too, before which a prefix goes.
        let options = ["--env-file", &file.path(), "--only", "TOKEN", "--env-prefix", "APP_", "--no-redact"];
        let ran = run(served.exec(&options, "echo \"$GH,$APP_TOKEN,${APP_PASSWORD-unset},${APP_GH-unset}\"")).await;
        assert_eq!(ran.out, format!("{TOKEN_VALUE},{TOKEN_VALUE},unset,unset\n"));
    }

    async fn a_variable_is_not_given_two_secrets(world: World) {
        let served = Served::start(&world).await;
        let file = EnvFile::new("PASSWORD=vault:TOKEN\nTOKEN=vault:TOKEN\n");
        let path = file.path();
        let opened = world.vault.agents().decryptions();
        for asked in [&["--only", "PASSWORD"][..], &["--file", "PASSWORD=p"], &["--file", "TOKEN=t"]] {
            let ran = run(served.exec(&[&["--env-file", &path], asked].concat(), "echo started")).await;
            assert_eq!((ran.out.as_str(), ran.status), ("", 2), "{asked:?}: {}", ran.err);
        }
        assert_eq!(world.vault.agents().decryptions(), opened);
        let ran = run(served.exec(&["--env-file", &path, "--only", "TOKEN", "--no-redact"], "echo $TOKEN")).await;
        assert_eq!(ran.out, format!("{TOKEN_VALUE}\n"));
    }

    async fn variables_that_are_set_win_over_the_file(world: World) {
        let served = Served::start(&world).await;
        let file = EnvFile::new("GH=vault:TOKEN\nMODE=debug\nGONE=vault:NOWHERE\nAPI=vault:PASSWORD\n");
        let opened = world.vault.agents().decryptions();
        let mut command = served.exec(&["--env-file", &file.path(), "--no-redact"], "echo \"$GH,$MODE,$GONE,$API,$PASSWORD\"");
        // That the secret's own name is set says nothing of the variable that is to hold it.
        command.env("GH", "").env("MODE", "own").env("GONE", "own").env("PASSWORD", "own");
        let ran = run(command).await;
        assert_eq!((ran.out, ran.status), (format!(",own,own,{PASSWORD_VALUE},own\n"), 0), "{}", ran.err);
        assert_eq!(world.vault.agents().decryptions() - opened, 1);
    }

    async fn what_a_file_names_in_vain_is_told_before_anything_starts(world: World) {
        let served = Served::start(&world).await;
        let mark = tempfile::tempdir().unwrap();
        let mark = mark.path().join("started");
        for (text, status, says) in [
            ("A=vault:NOWHERE\nB=vault:OLD\n", 4, "NOWHERE"),
            ("B=vault:OLD\n", 3, "OLD"),
            ("A=vault:TOKEN\nLD_PRELOAD=vault:TOKEN\n", 2, "line 2: this name is reserved"),
            ("A=vault:no-name\n", 2, "line 1"),
            ("PROJECT_VAULT_TOKEN=x\n", 2, "line 1"),
            ("A\n", 2, "line 1"),
        ] {
            let file = EnvFile::new(text);
            let ran = run(served.exec(&["--env-file", &file.path()], &format!("touch {}", mark.display()))).await;
            assert!(ran.status == status && ran.err.contains(says), "{text}: {ran:?}");
        }
        let ran = run(served.exec(&["--env-file", "/nowhere/env"], "true")).await;
        assert!(ran.status == 2 && ran.err.contains("/nowhere/env"), "{ran:?}");
        assert!(!mark.exists());
    }

    async fn a_dry_run_shows_the_variables_of_the_file(world: World) {
        let served = Served::start(&world).await;
        let file = EnvFile::new("GH=vault:TOKEN\nSAME=vault:TOKEN\nMODE=debug\n");
        let ran = run(served.program(&["exec", "--dry-run", "--env-file", &file.path(), "--only", "PASSWORD"])).await;
        let table = "\
            VARIABLE  OUTCOME   SOURCE   EXPIRES\n\
            PASSWORD  RESOLVED  project  never\n\
            GH        RESOLVED  project  never\n\
            SAME      RESOLVED  project  never\n";
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.status), (table, "", 0));
    }
}
