"""The first question every client asks."""


def test_versions_are_listed_without_login(nobody):
    versions = nobody.get("/_matrix/client/versions")["versions"]
    assert "v1.1" in versions


def test_what_clients_look_for_by_name(nobody):
    """A client that finds neither v1.11 nor the name asks for media where what is uploaded today is not shown."""
    features = nobody.get("/_matrix/client/versions")["unstable_features"]
    assert features["org.matrix.msc3916.stable"] and features["org.matrix.e2e_cross_signing"]


def test_unknown_path_is_404_unrecognized(nobody):
    nobody.fails(404, "M_UNRECOGNIZED", "GET", "/_matrix/client/v3/nonsense")


def test_known_path_with_wrong_method_is_405(nobody):
    nobody.fails(405, "M_UNRECOGNIZED", "PATCH", "/_matrix/client/versions")


def test_cors_headers_on_answers_and_preflight(nobody):
    for method, path in [("GET", "/_matrix/client/versions"), ("OPTIONS", "/_matrix/client/v3/sync"), ("GET", "/_matrix/client/v3/sync")]:
        answer = nobody.raw(method, path)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


def test_r0_is_an_older_name_of_v3(nobody):
    nobody.fails(401, "M_MISSING_TOKEN", "GET", "/_matrix/client/r0/account/whoami")
    nobody.fails(404, "M_UNRECOGNIZED", "GET", "/_matrix/client/r0/nonsense")
