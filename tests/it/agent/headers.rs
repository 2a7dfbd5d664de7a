//! `headers`: a secret as an HTTP header.

use super::served::{Served, TOKEN_VALUE, run};
use crate::support::{entry, user};
use serde_json::{Value, json};

both! {
    async fn headers_writes_an_object_of_one_header(world: World) {
        let served = Served::start(&world).await;
        let put = async |name: &str, value: &str| {
            world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
        };
        put("WITH_END", "token\n").await;
        put("QUOTED", "a\"b\\c").await;
        for (args, header) in [
            (&["TOKEN"][..], json!({ "Authorization": format!("Bearer {TOKEN_VALUE}") })),
            (&["TOKEN", "--scheme", "Basic"], json!({ "Authorization": format!("Basic {TOKEN_VALUE}") })),
            (&["TOKEN", "--scheme", ""], json!({ "Authorization": TOKEN_VALUE })),
            (&["TOKEN", "--header", "X-API-Key"], json!({ "X-API-Key": TOKEN_VALUE })),
            (&["WITH_END", "--header", "authorization"], json!({ "authorization": "Bearer token" })),
            (&["QUOTED"], json!({ "Authorization": "Bearer a\"b\\c" })),
        ] {
            let ran = run(served.program(&[&["headers"], args].concat())).await;
            assert_eq!((ran.err.as_str(), ran.status), ("", 0), "{args:?}");
            assert_eq!(ran.out.matches('\n').count(), 1);
            assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), header);
        }
        let recorded = "SELECT count(*) AS n FROM audit_events WHERE purpose = 'TOOL_EXECUTION' AND outcome = 'ALLOWED'";
        assert_eq!(world.number(recorded).await, 6);
    }

    async fn what_is_no_header_is_refused_without_the_value(world: World) {
        let served = Served::start(&world).await;
        for (args, status, says) in [
            (&["KEY"][..], 2, "KEY: no header can carry this value"),
            (&["PASSWORD"], 2, "PASSWORD: no header can carry this value"),
            (&["TOKEN", "--header", "X: y"], 2, "--header"),
            (&["TOKEN", "--header", ""], 2, "--header"),
            (&["TOKEN", "--scheme", "a\r\nb"], 2, "--scheme"),
            (&["OLD"], 3, "expired"),
            (&["NOWHERE"], 4, "not found"),
            (&["TOKEN", "--agent", "deployer"], 5, "refuses"),
            (&["TOKEN", "--url", "http://127.0.0.1:1/", "--timeout", "1"], 6, "cannot be reached"),
            (&[], 2, "NAME"),
        ] {
            let ran = run(served.program(&[&["headers"], args].concat())).await;
            assert_eq!((ran.out.as_str(), ran.status), ("", status), "{args:?} {}", ran.err);
            assert!(ran.err.contains(says) && !ran.err.contains("first0line"), "{args:?} {}", ran.err);
        }
    }
}
