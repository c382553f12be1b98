package openbao

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// What `login -method=userpass` sends.
type byPassword struct{ user, password string }

func (method byPassword) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return client.Logical().WriteWithContext(ctx, "auth/userpass/login/"+method.user, object{"password": method.password})
}

func (s server) write(t *testing.T, path string, body object) {
	t.Helper()
	answer, err := s.Logical().WriteWithContext(s.ctx, path, body)
	must(t, "write "+path, err)
	if answer != nil {
		t.Errorf("write %s: something came: %+v", path, answer)
	}
}

func (s server) remove(t *testing.T, path string) {
	t.Helper()
	_, err := s.Logical().DeleteWithContext(s.ctx, path)
	must(t, "delete "+path, err)
}

func (s server) lists(t *testing.T, path, name string) bool {
	t.Helper()
	listed, err := s.Logical().ListWithContext(s.ctx, path)
	must(t, "list "+path, err)
	if listed == nil {
		return false
	}
	return slices.Contains(listed.Data["keys"].([]any), any(name))
}

// onlyReads is a policy of this name for the folder; it goes when the test ends.
func (s server) onlyReads(t *testing.T, name, folder string) {
	t.Helper()
	text := `path "secret/data/` + folder + `/*" { capabilities = ["read"] }`
	must(t, "policy", s.Sys().PutPolicyWithContext(s.ctx, name, text))
	t.Cleanup(func() { _ = s.Sys().DeletePolicyWithContext(s.ctx, name) })
}

func TestUserpass(t *testing.T) {
	s := connect(t)
	name, folder := "openbao-"+salt(), s.folder(t)
	user := "auth/userpass/users/" + name
	s.put(t, mount, folder+"/a", object{"n": 1})
	s.onlyReads(t, name, folder)
	t.Cleanup(func() { _, _ = s.Logical().DeleteWithContext(s.ctx, user) })
	s.write(t, user, object{"password": "correct horse", "token_policies": []string{name}, "token_ttl": "1h"})
	holds(t, "the user is listed", s.lists(t, "auth/userpass/users", name))
	shown := s.read(t, user).Data
	same(t, "policies", shown["token_policies"], any([]any{name}))
	isNumber(t, "token_ttl", shown["token_ttl"], "3600")

	people := s.holding(t, "")
	answer, err := people.Auth().Login(s.ctx, byPassword{name, "correct horse"})
	must(t, "login", err)
	same(t, "the client takes the token over", people.Token(), answer.Auth.ClientToken)
	same(t, "policies of the login", answer.Auth.Policies, []string{"default", name})
	same(t, "metadata", answer.Auth.Metadata, map[string]string{"username": name})
	same(t, "what the user reads", people.get(t, mount, folder+"/a").VersionMetadata.Version, 1)
	_, err = people.KVv2(mount).Put(s.ctx, folder+"/a", object{"n": 2})
	fails(t, "beyond the user's policies", err, 403)

	s.write(t, user+"/password", object{"password": "battery staple"})
	_, err = s.holding(t, "").Auth().Login(s.ctx, byPassword{name, "correct horse"})
	fails(t, "the old password", err, 400, "invalid username or password")
	again := s.holding(t, "")
	_, err = again.Auth().Login(s.ctx, byPassword{name, "battery staple"})
	must(t, "the new password", err)
	same(t, "what it reads", again.get(t, mount, folder+"/a").VersionMetadata.Version, 1)

	s.remove(t, user)
	holds(t, "the user is gone", !s.lists(t, "auth/userpass/users", name))
	_, err = again.KVv2(mount).Get(s.ctx, folder+"/a")
	fails(t, "a token of a user that is gone", err, 403)
	_, err = s.holding(t, "").Auth().Login(s.ctx, byPassword{name, "battery staple"})
	fails(t, "login of a user that is gone", err, 400, "invalid username or password")
}

func TestCertRole(t *testing.T) {
	s, one := connect(t), anotherIdentity(t)
	name, folder := "openbao-"+salt(), s.folder(t)
	role := "auth/cert/certs/" + name
	s.put(t, mount, folder+"/a", object{"n": 1})
	s.onlyReads(t, name, folder)
	certificate, err := os.ReadFile(one.certificate)
	must(t, "certificate", err)
	t.Cleanup(func() { _, _ = s.Logical().DeleteWithContext(s.ctx, role) })
	s.write(t, role, object{"certificate": string(certificate), "token_policies": name, "token_ttl": "1h", "display_name": "the other"})
	holds(t, "the role is listed", s.lists(t, "auth/cert/certs", name))
	shown := s.read(t, role).Data
	same(t, "policies", shown["token_policies"], any([]any{name}))
	isNumber(t, "token_ttl", shown["token_ttl"], "3600")
	same(t, "display_name", shown["display_name"], any("the other"))

	other := connectAs(t, one)
	answer, err := other.Auth().Login(s.ctx, byCertificate{name})
	must(t, "login by the role", err)
	same(t, "policies of the login", answer.Auth.Policies, []string{"default", name})
	same(t, "cert_name", answer.Auth.Metadata["cert_name"], name)
	isAbout(t, "lease_duration", answer.Auth.LeaseDuration, 3600)
	same(t, "what it reads", other.get(t, mount, folder+"/a").VersionMetadata.Version, 1)
	_, err = other.KVv2(mount).Put(s.ctx, folder+"/a", object{"n": 2})
	fails(t, "beyond the role", err, 403)
	// It is somebody else's.
	_, err = s.Logical().WriteWithContext(s.ctx, "auth/cert/login", object{"name": name})
	failsWith(t, "login by another's role", err, 400, "does not fit")

	s.remove(t, role)
	holds(t, "the role is gone", !s.lists(t, "auth/cert/certs", name))
	gone, err := s.Logical().ReadWithContext(s.ctx, role)
	must(t, "read what is gone", err)
	holds(t, "nothing is there", gone == nil)
}
