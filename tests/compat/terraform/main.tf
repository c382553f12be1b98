terraform {
  required_providers {
    vault = { source = "hashicorp/vault" }
  }
}

variable "endpoint" {}
variable "ca" {}
variable "certificate" {}
variable "key" {}
variable "password" {}

provider "vault" {
  address      = var.endpoint
  ca_cert_file = var.ca
  client_auth {
    cert_file = var.certificate
    key_file  = var.key
  }
}

resource "vault_mount" "team" {
  path        = "terraform"
  type        = "kv"
  description = "made by Terraform"
  options     = { version = "2" }
}

resource "vault_generic_secret" "database" {
  path      = "${vault_mount.team.path}/app/database"
  data_json = jsonencode({ user = "app", password = var.password, "ü" = "a b" })
}

resource "vault_generic_endpoint" "settings" {
  path                 = "${vault_mount.team.path}/config"
  disable_delete       = true
  ignore_absent_fields = true
  data_json            = jsonencode({ max_versions = 5 })
}

resource "vault_token" "job" {
  ttl = "1h"
}

data "vault_generic_secret" "database" {
  path = vault_generic_secret.database.path
}

output "password" {
  value     = data.vault_generic_secret.database.data["password"]
  sensitive = true
}
