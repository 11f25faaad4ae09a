"""A stand-in for the Hugging Face hub, as far as publishing and loading models need it.

It keeps repositories in memory, wants the right token for writing and for private ones,
and counts what it is asked. Files come inside the commit, in base64, as the hub takes
small ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import yaml

TOKEN = "hf_right"
OWNER = "gardener"


class Repository:
    """Its commits, each with all its files; branches and tags point at them."""

    def __init__(self, private):
        self.private, self.commits, self.branches = private, {}, {"main": None}
        self.messages = []

    def files(self, revision):
        commit = self.branches.get(revision, revision)
        return commit, self.commits.get(commit, {} if commit is None else None)

    def commit(self, branch, added, message):
        files = {**(self.files(branch)[1] or {}), **added}
        digest = hashlib.sha1(repr((message, sorted(files.items()))).encode())
        self.commits[digest.hexdigest()] = files
        self.branches[branch] = digest.hexdigest()
        self.messages.append(message)
        return digest.hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, content=b"", **headers):
        if not isinstance(content, bytes):
            content, headers["Content_Type"] = json.dumps(content).encode(), "text/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def has_token(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path, server = unquote(self.path.partition("?")[0]), self.server
        server.requests.append(("POST", path, self.headers.get("User-Agent", "")))
        if not self.has_token():
            return self.answer(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            front = json.loads(body)["content"].split("---\n")[1]
            yaml.safe_load(front)
            return self.answer(200, {"errors": [], "warnings": []})
        found = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/(.+)", path)
        if found is None or found[1] not in server.repositories:
            return self.answer(404, {}, X_Error_Code="RepoNotFound")
        if found[3] not in server.repositories[found[1]].branches:
            return self.answer(404, {}, X_Error_Code="RevisionNotFound")
        if found[2] == "preupload":
            named = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": name, "uploadMode": "regular", "shouldIgnore": False}
                for name in named
            ]
            return self.answer(200, {"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        message = lines[0]["value"]["summary"]
        commit = server.repositories[found[1]].commit(found[3], added, message)
        url = f"{server.address}/{found[1]}/commit/{commit}"
        return self.answer(200, {"commitUrl": url, "commitOid": commit})

    def create(self, wanted):
        owner = wanted.get("organization") or OWNER
        name = f"{owner}/{wanted['name']}"
        url = f"{self.server.address}/{name}"
        if name in self.server.repositories:
            error = "You already created this model repo"
            return self.answer(409, {"error": error, "url": url, "name": name})
        # The former form, and the one of huggingface_hub since 2.
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.server.repositories[name] = Repository(bool(private))
        return self.answer(200, {"url": url, "name": name})

    def do_GET(self):
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append((self.command, path, ""))
        asked = re.fullmatch(r"/api/models/(.+)/revision/([^/]+)", path)
        if asked and asked[1] in self.server.repositories:
            # Versions of huggingface_hub before 1 ask how to send large files.
            commit, files = self.server.repositories[asked[1]].files(asked[2])
            if files is None:
                return self.answer(404, X_Error_Code="RevisionNotFound")
            return self.answer(200, {"id": asked[1], "sha": commit, "siblings": []})
        found = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path)
        repository = self.server.repositories.get(found[1]) if found else None
        if repository is None or (repository.private and not self.has_token()):
            return self.answer(404, X_Error_Code="RepoNotFound")
        commit, files = repository.files(found[2])
        if files is None:
            return self.answer(404, X_Error_Code="RevisionNotFound")
        if found[3] not in files:
            code, known = "EntryNotFound", {"X_Repo_Commit": commit or "0" * 40}
            return self.answer(404, X_Error_Code=code, **known)
        content = files[found[3]]
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        return self.answer(200, content, X_Repo_Commit=commit, ETag=etag)

    do_HEAD = do_GET


class Hub(ThreadingHTTPServer):
    """The server; `repositories` by their names, `requests` in their order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repositories, self.requests = {}, []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()
