"""The Python module, on the program that $REMAP_PROGRAM names or the one that is installed: python3 -m unittest."""

import json
import os
import tempfile
import unittest

import remap

DATA = os.environ.get("REMAP_TEST_DATA") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
ROBERTA = os.path.join(DATA, "roberta", "source", "model.2019.pt")
SWITCH = os.path.join(DATA, "switch", "source", "checkpoint_1200")


class Remap(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_convert_compare_verify(self):
        done = remap.convert(ROBERTA, self.path("out"), set={"dtype": "keep"}, threads=1, provenance=True)
        self.assertEqual(done["architecture"], "RobertaForMaskedLM")
        self.assertTrue(os.path.exists(self.path("out/model.safetensors")))
        self.assertTrue(os.path.exists(self.path("out/remap-provenance.json")))
        remap.convert(ROBERTA, self.path("again"))
        self.assertEqual(remap.compare(self.path("out"), self.path("again"))["differences"], [])
        self.assertTrue(remap.verify(ROBERTA, self.path("out"))["passed"])

    def test_an_answer_of_no_is_no_exception(self):
        remap.convert(SWITCH, self.path("switch"))
        remap.convert(ROBERTA, self.path("out"))
        self.assertTrue(remap.compare(self.path("out"), self.path("switch"))["differences"])

    def test_plan(self):
        plan = remap.plan(SWITCH, rules="switch")
        self.assertEqual(plan["remap_plan"], 1)
        self.assertEqual(len(plan["tensors"]), 84)
        self.assertEqual(plan["dims"]["experts"]["value"], 4)

    def test_inspect(self):
        manifest = remap.inspect(ROBERTA)
        self.assertEqual(manifest["remap_manifest"], 1)
        with open(self.path("manifest.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        self.assertEqual(remap.plan(self.path("manifest.json"))["family"], remap.plan(ROBERTA)["family"])

    def test_errors_are_exceptions_with_diagnostics(self):
        with self.assertRaises(remap.RemapError) as raised:
            remap.plan(self.path("nothing.pt"))
        error = raised.exception
        self.assertEqual(error.exit_code, 2)
        self.assertEqual(error.diagnostics[0].severity, "error")
        self.assertEqual(error.diagnostics[0].id, "io-read")
        self.assertIn("nothing.pt", str(error))
        with open(self.path("bad.yaml"), "w", encoding="utf-8") as file:
            file.write("remap: 1\nfamily: toy\nsource: {format: torch}\nrules:\n  - {from: a, to: b, transpos: true}\n")
        with self.assertRaises(remap.RemapError) as raised:
            remap.plan(ROBERTA, rules=self.path("bad.yaml"))
        found = raised.exception.diagnostics[0]
        self.assertEqual((found.id, found.line), ("rule-unknown-field", 5))
        self.assertIn("transpose", found.hint)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_path_that_looks_like_an_option(self):
        with self.assertRaises(remap.RemapError):
            remap.inspect("--help")

    def test_version(self):
        self.assertRegex(remap.version(), r"^\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
