#!/bin/sh
# Signs one message-service notification with openssl, as Alipay would, and
# posts it with curl. It shares no code with the receiver, so a receiver that
# accepts it is right for a reason of its own. For tests and first steps only:
# the key is a development key whose public half the receiver was given.
#
#   sign-with-openssl.sh [--print] KEY.pem APP_ID MSG_METHOD PAYLOAD [URL]
#
#   sh docs/sign-with-openssl.sh dev/alipay-private.pem 2021000000000001 \
#     alipay.marketing.activity.message.created \
#     '{"id":"ORDERSEND_1","activity_id":"1","event_time":"1710000000000","out_biz_no":"b1"}' \
#     http://127.0.0.1:8080/alipay/notify
#
# --print writes the body to stdout and posts nothing; URL is not needed then.
# NOTIFY_ID and UTC_TIMESTAMP in the environment replace the made-up values: the
# same NOTIFY_ID twice is a duplicate. Posting prints the reply; the exit code
# is 0 only when it was `success`, 1 when it was not, 2 for a usage error.
set -eu
export LC_ALL=C # bytes, not characters

usage() {
	echo "usage: $0 [--print] KEY.pem APP_ID MSG_METHOD PAYLOAD [URL]" >&2
	exit 2
}

print=no
if [ "${1-}" = --print ]; then
	print=yes
	shift
fi
if [ $# -lt 4 ] || [ $# -gt 5 ]; then usage; fi
if [ $print = no ] && [ $# -ne 5 ]; then usage; fi
key=$1 app_id=$2 method=$3 payload=$4 url=${5-}
if [ ! -r "$key" ]; then
	echo "$0: cannot read the key file $key" >&2
	exit 2
fi

# encode writes its argument percent-encoded, as Java's URLEncoder does: od
# gives each byte in octal, the unreserved ones come back as they were.
encode() {
	for o in $(printf %s "$1" | od -An -v -to1); do
		case $o in
		052 | 055 | 056 | 137) printf "\\$o" ;;                # * - . _
		06[0-7] | 07[01]) printf "\\$o" ;;                     # 0-9
		10[1-7] | 1[12][0-7] | 13[0-2]) printf "\\$o" ;;       # A-Z
		14[1-7] | 1[56][0-7] | 17[0-2]) printf "\\$o" ;;       # a-z
		040) printf + ;;
		*) printf '%%%02X' "0$o" ;;
		esac
	done
}

now=$(date +%s)
stamp=${UTC_TIMESTAMP-${now}000}
random=$(od -An -v -N6 -tu2 /dev/urandom | tr -d ' \n')
notify_id=${NOTIFY_ID-${now}00222${random}}

# The signing string: every field but sign, in the byte order of the names,
# values as they are, nothing escaped. sign_type is kept.
signed="app_id=$app_id&biz_content=$payload&charset=UTF-8&msg_method=$method"
signed="$signed&notify_id=$notify_id&sign_type=RSA2&utc_timestamp=$stamp&version=1.1"

# A pipe reports its last command only; that openssl could not use the key shows
# in the empty signature.
sign=$(printf %s "$signed" | openssl dgst -sha256 -sign "$key" | openssl base64 -A)
if [ -z "$sign" ]; then
	echo "$0: openssl made no signature with $key" >&2
	exit 1
fi

# On the wire the order means nothing; this is the order of real captures.
body="charset=UTF-8&biz_content=$(encode "$payload")&utc_timestamp=$(encode "$stamp")"
body="$body&sign=$(encode "$sign")&app_id=$(encode "$app_id")&version=1.1&sign_type=RSA2"
body="$body&notify_id=$(encode "$notify_id")&msg_method=$(encode "$method")"

if [ $print = yes ]; then
	printf %s "$body"
	exit 0
fi
reply=$(printf %s "$body" | curl --silent --show-error --max-time 10 --data-binary @- \
	--header 'Content-Type: application/x-www-form-urlencoded; charset=UTF-8' "$url")
printf '%s\n' "$reply"
[ "$reply" = success ]
