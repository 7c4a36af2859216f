#!/bin/sh
# Writes the vectors of this folder with openssl and shell alone: fresh TEST-ONLY
# keys, whose private halves are thrown away at the end, signing strings that
# are spelled out by hand, and bodies encoded here. Nothing of the code under
# test takes part. The vectors are committed; run this only to change them.
#
# generate-second.sh makes the vectors second-* with another implementation.
#
# A vector file is a header, an empty line, and the body as posted:
#
#   comment: what it shows
#   keys:    public key files of the app, in order
#   types:   allowed sign types
#   expect:  accepted RULE KEY-FILE, or the failure class
#
# The classes are those of the package: encoding, repeated_field, field_name,
# algorithm, signature_format, signature.
set -eu
export LC_ALL=C # bytes, not characters
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
rm -f -- accepted-*.txt refused-*.txt key-*.pem aes.list key-ids.list

for key in key-1:2048 key-2:2048 key-3:4096; do
	name=${key%:*}
	openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:${key#*:}" -out "$tmp/$name"
	{
		echo "TEST-ONLY: made by generate.sh, the private half is gone"
		openssl pkey -in "$tmp/$name" -pubout
	} >"$name.pem"
	id=$(openssl pkey -in "$tmp/$name" -pubout -outform DER | openssl dgst -sha256 -r | cut -c 1-16)
	echo "$name.pem $id" >>key-ids.list
done

# sign KEY DIGEST TEXT
sign() {
	printf %s "$3" | openssl dgst "-$2" -sign "$tmp/$1" | openssl base64 -A
}

# encode TEXT: percent-encoding as Java's URLEncoder does it.
encode() {
	for o in $(printf %s "$1" | od -An -v -to1); do
		case $o in
		052 | 055 | 056 | 137 | 06[0-7] | 07[01]) printf "\\$o" ;;
		10[1-7] | 1[12][0-7] | 13[0-2]) printf "\\$o" ;;
		14[1-7] | 1[56][0-7] | 17[0-2]) printf "\\$o" ;;
		040) printf + ;;
		*) printf '%%%02X' "0$o" ;;
		esac
	done
}

# form NAME=VALUE...: the body, cut at the first '=' of each argument.
form() {
	separator=
	for pair; do
		printf %s "$separator"
		encode "${pair%%=*}"
		printf =
		encode "${pair#*=}"
		separator='&'
	done
}

# vector FILE EXPECT COMMENT BODY; $keys and $types are those of the app.
keys=key-1.pem types=RSA2
vector() {
	printf 'comment: %s\nkeys:    %s\ntypes:   %s\nexpect:  %s\n\n%s\n' "$3" "$keys" "$types" "$2" "$4" >"$1.txt"
}

# The message of every vector. Its parts stand before and after sign_type in
# the order of names, so each rule puts its own thing between them.
biz='{"id":"ORDERSEND_20240309008260001","activity_id":"20240309008260001","event_time":"1709946123456","out_biz_no":"act20240309"}'
method=alipay.marketing.activity.message.created
before="app_id=2021000000000001&biz_content=$biz&charset=UTF-8&msg_method=$method&notify_id=2024030900222090203000000000000001"
after="utc_timestamp=1709946123456&version=1.1"
keep="$before&sign_type=RSA2&$after"
drop="$before&$after"

# message SIGN [NAME=VALUE...]: its fields in the order of the captures.
message() {
	signature=$1
	shift
	form charset=UTF-8 "biz_content=$biz" utc_timestamp=1709946123456 "sign=$signature" \
		app_id=2021000000000001 version=1.1 notify_id=2024030900222090203000000000000001 \
		msg_method=$method "$@"
}

# The rules.
s=$(sign key-1 sha256 "$keep")
kept=$s
genuine=$(message "$s" sign_type=RSA2)
vector accepted-keep 'accepted keep-sign-type,keep-empty key-1.pem' 'sign_type is signed as sent' "$genuine"
s=$(sign key-1 sha256 "$drop")
dropped=$s
vector accepted-drop 'accepted drop-sign-type,keep-empty key-1.pem' 'sign_type is sent and not signed' "$(message "$s" sign_type=RSA2)"
vector accepted-no-sign-type 'accepted keep-sign-type,keep-empty key-1.pem' \
	'no sign_type at all: keeping and dropping it are the same, and keep stands for both' "$(message "$s")"
vector accepted-insert 'accepted insert-sign-type,keep-empty key-1.pem' 'sign_type is signed and not sent' "$(message "$kept")"
s=$(sign key-1 sha256 "$before&sign_type=RSA2&$after&z=")
vector accepted-keep-empty 'accepted keep-sign-type,keep-empty key-1.pem' 'an empty field is signed' "$(message "$s" sign_type=RSA2 z=)"
vector accepted-keep-drop-empty 'accepted keep-sign-type,drop-empty key-1.pem' 'an empty field is sent and not signed' \
	"$(message "$kept" sign_type=RSA2 z=)"
vector accepted-drop-drop-empty 'accepted drop-sign-type,drop-empty key-1.pem' 'neither sign_type nor the empty field is signed' \
	"$(message "$dropped" sign_type=RSA2 z=)"
vector accepted-insert-drop-empty 'accepted insert-sign-type,drop-empty key-1.pem' 'sign_type is signed and not sent, the empty field the other way round' \
	"$(message "$kept" z=)"
vector accepted-empty-sign-type 'accepted keep-sign-type,drop-empty key-1.pem' 'sign_type is there and empty; nothing of it is signed' \
	"$(message "$dropped" sign_type=)"
vector accepted-added-empty-fields 'accepted keep-sign-type,drop-empty key-1.pem' \
	'anybody may add empty fields to a genuine form, so an empty field must count as absent everywhere' \
	"$(message "$kept" sign_type=RSA2 encrypt_type= msg_uid=)"

# Keys and algorithms.
keys='key-2.pem key-1.pem'
vector accepted-second-key 'accepted keep-sign-type,keep-empty key-1.pem' 'rotation: the second of two keys' "$genuine"
keys='key-1.pem key-3.pem'
vector accepted-4096-bits 'accepted keep-sign-type,keep-empty key-3.pem' 'keys of 2048 and 4096 bits side by side' \
	"$(message "$(sign key-3 sha256 "$keep")" sign_type=RSA2)"
keys=key-2.pem
vector refused-wrong-key signature 'signed with a key that is not configured' "$genuine"
keys=key-3.pem
vector refused-wrong-key-size signature_format 'no configured key makes signatures of this length' "$genuine"
keys=key-1.pem types='RSA RSA2'
vector accepted-rsa 'accepted keep-sign-type,keep-empty key-1.pem' 'the legacy algorithm where it is configured' \
	"$(message "$(sign key-1 sha1 "$before&sign_type=RSA&$after")" sign_type=RSA)"
vector accepted-rsa-called-rsa2 'accepted keep-sign-type,keep-empty key-1.pem' \
	'sign_type decides nothing: both types are allowed, the form says RSA2 and is signed with RSA' \
	"$(message "$(sign key-1 sha1 "$keep")" sign_type=RSA2)"
types=RSA2
vector refused-rsa algorithm 'the form says RSA and RSA2 alone is allowed' \
	"$(message "$(sign key-1 sha1 "$before&sign_type=RSA&$after")" sign_type=RSA)"
vector refused-rsa-called-rsa2 signature 'an RSA signature under the name of RSA2' "$(message "$(sign key-1 sha1 "$keep")" sign_type=RSA2)"
vector refused-rsa-unsigned-type signature 'sign_type is not signed, so the form can claim what it likes' \
	"$(message "$(sign key-1 sha1 "$drop")" sign_type=RSA2)"
vector refused-rsa-without-type signature 'an RSA signature and no sign_type' "$(message "$(sign key-1 sha1 "$drop")")"
vector refused-sm2 algorithm 'a sign_type that nobody allowed' "$(message "$dropped" sign_type=SM2)"

# Values are bytes, decoded once.
gbk=$(printf '\320\241\301\375\260\374') # three characters in GBK; no UTF-8
s=$(sign key-1 sha256 "app_id=2021000000000001&charset=GBK&notify_id=1&sign_type=RSA2&subject=$gbk")
vector accepted-gbk 'accepted keep-sign-type,keep-empty key-1.pem' 'the bytes of the declared charset are signed' \
	"$(form charset=GBK "subject=$gbk" notify_id=1 "sign=$s" sign_type=RSA2 app_id=2021000000000001)"
s=$(sign key-1 sha256 'notify_id=1&sign_type=RSA2&subject=a+b c')
vector accepted-plus 'accepted keep-sign-type,keep-empty key-1.pem' 'a plus is sent as %2B, a space as +' \
	"notify_id=1&sign_type=RSA2&subject=a%2Bb+c&sign=$(encode "$s")"
vector refused-plus-lost signature 'somebody decoded the plus into a space' \
	"notify_id=1&sign_type=RSA2&subject=a+b+c&sign=$(encode "$s")"
s=$(sign key-1 sha256 'notify_id=1&passback_params=a%3Db%26c%253D&sign_type=RSA2')
vector accepted-percent 'accepted keep-sign-type,keep-empty key-1.pem' 'a value that is percent-encoded itself is decoded once only' \
	"notify_id=1&passback_params=a%253Db%2526c%25253D&sign_type=RSA2&sign=$(encode "$s")"
vector refused-percent-decoded-twice signature 'somebody decoded it twice' \
	"notify_id=1&passback_params=a%3Db%26c%253D&sign_type=RSA2&sign=$(encode "$s")"
vector refused-sign-space signature_format 'the pluses of the signature became spaces: nothing is repaired' \
	"$(message "$(printf %s "$kept" | tr + ' ')" sign_type=RSA2)"
s=$(sign key-1 sha256 'notify_id=1&sign_type=RSA2&subject= a ')
vector accepted-spaces 'accepted keep-sign-type,keep-empty key-1.pem' 'spaces around a value are part of it' \
	"$(form notify_id=1 'subject= a ' sign_type=RSA2 "sign=$s")"
vector refused-trimmed signature 'somebody trimmed the value' "$(form notify_id=1 subject=a sign_type=RSA2 "sign=$s")"
bills='[{"amount":"1.00","fundChannel":"ALIPAYACCOUNT"}]'
s=$(sign key-1 sha256 "fund_bill_list=$bills&notify_id=1&sign_type=RSA2")
vector refused-html-escaped signature 'an input filter made &quot; of the quotes: nothing is repaired' \
	"$(form "fund_bill_list=$(printf %s "$bills" | sed 's/"/\&quot;/g')" notify_id=1 sign_type=RSA2 "sign=$s")"
# shellcheck disable=SC1003
quoted='{"memo":"say \"hi\"","url":"https:\/\/example.com"}'
s=$(sign key-1 sha256 "biz_content=$quoted&notify_id=1&sign_type=RSA2")
vector accepted-backslash 'accepted keep-sign-type,keep-empty key-1.pem' 'backslashes in JSON, of two kinds' \
	"$(form "biz_content=$quoted" notify_id=1 sign_type=RSA2 "sign=$s")"
vector refused-stripped-backslash signature 'somebody stripped the backslashes' \
	"$(form "biz_content=$(printf %s "$quoted" | tr -d '\\')" notify_id=1 sign_type=RSA2 "sign=$s")"

# Tampering.
vector refused-tampered signature 'one digit of the activity changed' \
	"$(printf %s "$genuine" | sed 's/20240309008260001/20240309008260002/')"
vector refused-field-added signature 'a field more, such as one of the URL query' "$genuine&foo=bar"
vector refused-field-removed signature 'a field less' "$(printf %s "$genuine" | sed 's/&version=1.1//')"
vector refused-no-sign signature_format 'not signed at all' "$(printf %s "$genuine" | sed 's/&sign=[^&]*//')"
vector refused-repeated-field repeated_field 'the first app_id is the genuine one, or the second' "$genuine&app_id=2021000000000002"
vector refused-repeated-same repeated_field 'the same value twice is still a repeated field' "$genuine&app_id=2021000000000001"
vector refused-repeated-encoded repeated_field 'the same name in another spelling' "$genuine&%61pp_id=2021000000000002"
vector refused-broken-escape encoding 'a cut escape at the end' "$genuine&z=%4"

# Values are not escaped in the signing string, so one genuine signature fits
# several forms. The signature cannot tell them apart: the grammars of the
# package events refuse them. Only the name of a field is refused here.
s=$(sign key-1 sha256 'app_id=2021000000000001&notify_id=1&sign_type=RSA2&subject=a&total_amount=0.01')
vector accepted-merged 'accepted keep-sign-type,keep-empty key-1.pem' \
	'total_amount hides in subject; what refuses this is the grammar in events, not the signature' \
	"$(form app_id=2021000000000001 notify_id=1 sign_type=RSA2 'subject=a&total_amount=0.01' "sign=$s")"
vector refused-merged-name field_name 'two fields in one name: the signature fits, and subject is hidden' \
	"$(form app_id=2021000000000001 notify_id=1 sign_type=RSA2 "sign=$s")&subject%3Da%26total_amount=0.01"
s=$(sign key-1 sha256 'app_id=2021000000000001&body=a&buyer_id=2088&notify_id=1&sign_type=RSA2')
vector accepted-split 'accepted keep-sign-type,keep-empty key-1.pem' \
	'body was "a&buyer_id=2088"; what refuses this is the grammar in events, not the signature' \
	"$(form app_id=2021000000000001 body=a buyer_id=2088 notify_id=1 sign_type=RSA2 "sign=$s")"

# Content encryption: key, plain text and ciphertext, a line each.
openssl rand -out "$tmp/aes" 16
hex=$(od -An -v -tx1 "$tmp/aes" | tr -d ' \n')
{
	echo "key:    $(openssl base64 -A -in "$tmp/aes")"
	echo "plain:  $biz"
	echo "cipher: $(printf %s "$biz" | openssl enc -aes-128-cbc -K "$hex" -iv 00000000000000000000000000000000 -base64 -A)"
} >aes.list
