"""What servers answer in French and in German."""

# ruff: noqa: E501 (replies are quoted whole, one a line)

from __future__ import annotations

import pytest

from core.mail.outcomes import FailureKind as K
from tests.core.replies import PERM, TEMP, A, B, C, M, R, Row, check, name

# fmt: off
REPLIES: list[Row] = [
    # Orange, La Poste, Free, SFR, OVH, Infomaniak, Gandi and other words in French.
    (R, 550, "5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. LPN416", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 552, "5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", K.MAILBOX_FULL, PERM, {}),
    (R, 550, "5.5.0 Boite du destinataire archivee. Archived recipient. LPN007_420", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (R, 550, "5.5.0 Le compte du destinataire est bloque. The recipient account isblocked. LPN007_426", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (C, 421, "mwinf5c79 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. OFR005_104 [104]", K.RATE_LIMITED, TEMP, {"slows": True}),
    (C, 421, "mwinf5c77 ME Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_999 [999]", K.RATE_LIMITED, TEMP, {"also": "spam_suspected", "slows": True}),
    (C, 550, "mwinf5c04 ME Adresse IP source bloquee pour incident de spam. Client host blocked for spamming issues. OFR006_102 Ref http://csi.cloudmark.com/reset-request/", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (C, 421, "mwinf5c10 ME Service refuse. Veuillez essayer plus tard. OFR004_105", K.RATE_LIMITED, TEMP, {"also": "spam_suspected"}),
    (B, 550, "5.7.1 Mail rejete. Mail rejected. OFR_506 [506]", K.SPAM_SUSPECTED, PERM, {}),
    (B, 550, "5.2.0 Mail rejete. Mail rejected. 506", K.SPAM_SUSPECTED, PERM, {}),
    (M, 501, "5.1.0 Emetteur invalide. Invalid Sender. OFR004_405 [405]", K.SENDER_REFUSED, PERM, {"advice": "sender_domain"}),
    (M, 550, "5.5.3 Mail from not owned by user. LPN105_421.", K.SENDER_REFUSED, PERM, {"advice": "from_not_yours"}),
    (M, 550, "5.5.0 Authentification requise. Authentication Required. LPN105_402", K.AUTH_FAILED, PERM, {"advice": "auth_required"}),
    (M, 550, "5.5.0 SPF: example.com is not allowed to send mail. LPN004_401", K.SPAM_SUSPECTED, PERM, {"advice": "spf"}),
    (B, 571, "5.7.1 Message refused, DMARC verification Failed. Message refuse, verification DMARC en echec LPN007_517", K.SPAM_SUSPECTED, PERM, {"advice": "dmarc"}),
    (R, 550, "5.7.0 Code d'authentification invalide OFR_305", K.AUTH_FAILED, PERM, {}),
    (M, 421, "smtp.orange.fr [192.0.2.1] Emetteur invalide, Veuillez verifier la configuration SPF/DNS de votre nom de domaine.", K.SPAM_SUSPECTED, TEMP, {"advice": "spf"}),
    (B, 552, "5.3.4 Taille limite du message atteinte OFR_514", K.MESSAGE_TOO_LARGE, PERM, {}),
    (R, 550, "Utilisateur inconnu !", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "5.1.1 Destinataire inconnu", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "L'adresse du destinataire n'existe pas", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 552, "La boîte aux lettres du destinataire est pleine", K.MAILBOX_FULL, PERM, {}),
    (R, 550, "Boîte aux lettres saturée, quota dépassé", K.MAILBOX_FULL, PERM, {}),
    (B, 550, "spam detected", K.SPAM_SUSPECTED, PERM, {}),
    (C, 421, "Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", K.SPAM_SUSPECTED, TEMP, {"also": "rate_limited"}),
    (R, 451, "too many errors from your ip (192.0.2.1), please visit http://postmaster.free.fr/", K.RATE_LIMITED, TEMP, {"slows": True}),
    (B, 550, "Message refusé : contenu indésirable", K.SPAM_SUSPECTED, PERM, {}),
    (R, 450, "4.7.1 SFR_IN_101 Service refused due to bad behavior - Too many spam messages", K.SPAM_SUSPECTED, TEMP, {"also": "rate_limited"}),
    (R, 421, "4.7.0 msfrf2604.sfr.fr Error: too many errors", K.RATE_LIMITED, TEMP, {"slows": True}),
    (A, 535, "5.7.1 Authentication failed", K.AUTH_FAILED, PERM, {"advice": "credentials"}),
    (A, 535, "Identifiant ou mot de passe incorrect", K.AUTH_FAILED, PERM, {"advice": "credentials"}),
    (R, 550, "Limite d'envoi dépassée, réessayez plus tard", K.RATE_LIMITED, TEMP, {"advice": "daily_quota", "slows": True}),
    (R, 451, "4.7.1 Quota d'envoi horaire dépassé pour ce compte", K.RATE_LIMITED, TEMP, {"advice": "daily_quota", "slows": True}),
    (M, 550, "Expéditeur non autorisé", K.SENDER_REFUSED, PERM, {"advice": "from_not_yours"}),
    (R, 550, "5.7.1 Votre compte a été suspendu suite à l'envoi de spam. Your account is suspended", K.SENDER_REFUSED, PERM, {"advice": "account_blocked", "also": "spam_suspected"}),
    (B, 552, "Message trop volumineux", K.MESSAGE_TOO_LARGE, PERM, {}),
    (B, 550, "Pièce jointe interdite", K.MESSAGE_REFUSED, PERM, {"advice": "forbidden_attachment"}),
    (R, 450, "Liste grise, merci de réessayer plus tard", K.RATE_LIMITED, TEMP, {"advice": "greylisted"}),
    (B, 451, "Service temporairement indisponible", K.SERVER_ERROR, TEMP, {}),
    (C, 421, "Serveur en maintenance, réessayez ultérieurement", K.SERVER_ERROR, TEMP, {}),
    (R, 554, "Relais refusé", K.SENDER_REFUSED, PERM, {"advice": "relay_denied", "also": "auth_failed"}),
    (R, 550, "5.7.1 Sender address rejected: not owned by user sales@maison.fr", K.SENDER_REFUSED, PERM, {"advice": "from_not_yours"}),
    (M, 550, "Votre adresse IP est sur une liste noire", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    # IONOS, GMX, web.de, T-Online, Strato and other words in German.
    (C, 554, "gmx.net (mxgmx104) Nemesis ESMTP Service not available\nNo SMTP service\nIP address is block listed.\nFor explanation visit https://postmaster.gmx.net/en/case?c=r0201&i=ip&v=198.51.100.42", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (C, 421, "gmx.net (mxgmx011) Nemesis ESMTP Service not available\nService not available\nReject due to policy violations", K.SPAM_SUSPECTED, TEMP, {}),
    (C, 421, "Rate limit reached. Please try again later", K.RATE_LIMITED, TEMP, {"slows": True}),
    (R, 450, "Reject due to policy violations", K.SPAM_SUSPECTED, TEMP, {}),
    (R, 550, "Requested action not taken: mailbox unavailable", K.RECIPIENT_UNKNOWN, PERM, {}),
    (B, 550, "Requested action not taken: mailbox unavailable\nFor explanation visit https://postmaster.gmx.net/en/error-messages", K.RECIPIENT_UNKNOWN, PERM, {}),
    (B, 554, "Transaction failed\nReject due to policy restrictions.\nFor explanation visit https://postmaster.gmx.net/en/case?c=hi", K.SPAM_SUSPECTED, PERM, {}),
    (B, 554, "5.7.1 Message rejected because it contains spam", K.SPAM_SUSPECTED, PERM, {}),
    (B, 554, "Transaction failed", K.MESSAGE_REFUSED, PERM, {"also": "spam_suspected"}),
    (M, 550, "Requested action not taken: mailbox unavailable\nSender address is not allowed.", K.SENDER_REFUSED, PERM, {"advice": "from_not_yours"}),
    (B, 550, "Requested action not taken: exceeded sending limit. mailbox unavailable", K.RATE_LIMITED, TEMP, {}),
    (R, 552, "Requested mail action aborted: exceeded storage allocation\nQuota exceeded. The recipient mailbox is full.", K.MAILBOX_FULL, PERM, {}),
    (B, 552, "Requested mail action aborted: exceeded storage allocation", K.MAILBOX_FULL, PERM, {}),
    (R, 550, "<a@gmx.net>: Reject due to SPF policy. The originating IP of the message is not permitted by the domain owner", K.SPAM_SUSPECTED, PERM, {"advice": "spf"}),
    (B, 554, "Transaction failed\nUnauthenticated email is not accepted due to domain's DMARC policy.", K.SPAM_SUSPECTED, PERM, {"advice": "dmarc"}),
    (A, 535, "Authentication credentials invalid", K.AUTH_FAILED, PERM, {"advice": "credentials"}),
    (A, 535, "Authentication failed. Please activate POP3/IMAP access in your account settings", K.AUTH_FAILED, PERM, {}),
    (B, 451, "Requested action aborted: local error in processing", K.SERVER_ERROR, TEMP, {}),
    (C, 554, "IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) (BL)", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (B, 550, "5.7.0 Message considered as spam or virus, rejected", K.SPAM_SUSPECTED, PERM, {}),
    (R, 550, "Benutzer unbekannt", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "5.1.1 Empfänger existiert nicht", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "Postfach nicht gefunden", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 552, "Postfach voll", K.MAILBOX_FULL, PERM, {}),
    (R, 552, "Das Postfach ist überfüllt", K.MAILBOX_FULL, PERM, {}),
    (B, 552, "Nachricht zu groß", K.MESSAGE_TOO_LARGE, PERM, {}),
    (R, 450, "Zu viele Verbindungen, bitte versuchen Sie es später", K.RATE_LIMITED, TEMP, {}),
    (A, 535, "Anmeldung fehlgeschlagen: Benutzername oder Passwort falsch", K.AUTH_FAILED, PERM, {"advice": "credentials"}),
    (R, 530, "Bitte melden Sie sich an. Authentifizierung erforderlich", K.AUTH_FAILED, PERM, {"advice": "auth_required"}),
    (R, 550, "Absender nicht erlaubt", K.SENDER_REFUSED, PERM, {"advice": "from_not_yours"}),
    (B, 550, "Nachricht als Spam abgelehnt", K.SPAM_SUSPECTED, PERM, {}),
    (R, 550, "Ihre IP-Adresse steht auf einer Sperrliste", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (M, 530, "Verschlüsselung erforderlich", K.TLS_FAILED, PERM, {"advice": "starttls_required"}),
    (B, 550, "Dateianhang nicht erlaubt", K.MESSAGE_REFUSED, PERM, {"advice": "forbidden_attachment"}),
    (R, 550, "Das Postfach wurde deaktiviert", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (R, 554, "Weiterleitung verweigert", K.SENDER_REFUSED, PERM, {"advice": "relay_denied", "also": "auth_failed"}),
]
# fmt: on


@pytest.mark.parametrize("row", REPLIES, ids=name)
def test_a_reply_means_what_its_server_means(row: Row) -> None:
    check(row)
