// The vault provider, built from its module: no registry of providers is asked.
package main

import (
	"github.com/hashicorp/terraform/plugin"
	"github.com/terraform-providers/terraform-provider-vault/vault"
)

func main() {
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: vault.Provider})
}
