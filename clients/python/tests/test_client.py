"""Against the server that the settings name, with the secrets that the Rust tests put there."""

import os
import traceback
import unittest
from unittest import mock

import project_vault
from project_vault import Expired, NotFound, Refused, Unreachable, Vault

VALUES = {
    "TOKEN": "gh-7Qm2xVt9Lw4Zr8+/Kd1Bn6",
    "PASSWORD": 'p\u00e4ss "w\u00f6rd" & more',
    "KEY": "-----BEGIN KEY-----\nfirst0line1of2it\nshort\nsecond3line4of5it\n-----END KEY-----\n",
    "SHORT": "12345",
}


class ClientTest(unittest.TestCase):
    def test_a_tool_gets_one_value(self):
        for name, value in VALUES.items():
            self.assertEqual(project_vault.resolve(name), value)

    def test_a_session_gets_what_the_workspace_leaves_open(self):
        self.assertEqual(project_vault.session_env(), VALUES)
        left = {name: value for name, value in VALUES.items() if name != "TOKEN"}
        self.assertEqual(Vault().session_env({"TOKEN": "", "not a name": "x"}), left)

    def test_what_is_not_there_has_an_error_of_its_own(self):
        with self.assertRaises(NotFound):
            project_vault.resolve("NOWHERE")
        with self.assertRaises(Expired):
            project_vault.resolve("OLD")
        with self.assertRaises(Refused):
            Vault(agent="deployer").resolve("TOKEN")
        with self.assertRaises(Refused):
            Vault(token="e30.e30.c2ln").resolve("TOKEN")
        with self.assertRaises(Unreachable):
            Vault(url="http://127.0.0.1:1/graphql", timeout=0.5).resolve("TOKEN")

    def test_answers_say_everything_but_print_no_value(self):
        secrets = Vault().answers(["TOKEN", "OLD"], purpose="TOOL_EXECUTION")
        self.assertEqual([secret.outcome for secret in secrets], ["RESOLVED", "EXPIRED"])
        self.assertEqual((secrets[0].version, secrets[0].scope), (1, "PROJECT"))
        self.assertNotIn(VALUES["TOKEN"], repr(secrets))

    def test_the_token_goes_nowhere_in_the_clear(self):
        for url in ("http://vault.example/graphql", "ftp://127.0.0.1/", "https://user:pass@vault.example/"):
            with self.assertRaises(ValueError):
                Vault(url=url)

    def test_an_answer_to_another_call_is_refused(self):
        vault = Vault()
        asked = []
        real = vault._ask
        vault._ask = lambda given: asked.append(real(given)) or asked[0]
        vault.resolve("TOKEN")
        with self.assertRaises(Unreachable):
            vault.resolve("TOKEN")

    def test_a_value_under_another_name_is_refused(self):
        vault = Vault()
        real = vault._ask

        def swapped(given):
            answer = real(given)
            first, second = answer["secrets"]
            first["name"], second["name"] = second["name"], first["name"]
            return answer

        vault._ask = swapped
        with self.assertRaises(Unreachable):
            vault.answers(["TOKEN", "PASSWORD"], purpose="TOOL_EXECUTION")

    def test_an_error_holds_nothing_of_a_value_that_is_no_text(self):
        class Opened:
            def open(self, *_):
                return b"s3cr3t\xff"

        with mock.patch.object(type(project_vault._SUITE), "create_recipient_context", lambda *_, **__: Opened()):
            with self.assertRaises(Unreachable) as raised:
                project_vault.resolve("TOKEN")
        error = raised.exception
        self.assertIsNone(error.__cause__ or error.__context__)
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        self.assertNotIn("s3cr3t", shown + repr(error))


if __name__ == "__main__":
    if "PROJECT_VAULT_TOKEN" not in os.environ:
        raise SystemExit("run the tests with scripts/test, which starts the server")
    unittest.main()
