// Generated from schemas/other.alipay_open_auth_appauth_cancel.v1.json by "npm run generate". Do not edit.

/**
 * A merchant withdrew its authorisation of a third-party app (第三方应用授权取消)
 *
 * The authorisation that a merchant gave to a third-party app is no more. The documents call the message alipay.open.auth.appauth.cancelled; under that name none was seen, and its events have no schema. Alipay's message alipay.open.auth.appauth.cancel, known from two real bodies. The data is what came, untyped: texts as Alipay sends them, times in Beijing time. Nothing is required, and fields that we do not know stay as they came. An event whose known fields hold anything but texts has no ce-dataschema.
 */
export interface OtherAlipayOpenAuthAppauthCancel {
  /**
   * The token that is void now. (PROTOCOL.md 1.5)
   */
  app_auth_token?: string;
  /**
   * The app of the merchant that withdrew. (PROTOCOL.md 1.5)
   */
  auth_app_id?: string;
  /**
   * The merchant's Alipay id. (PROTOCOL.md 1.5)
   */
  user_id?: string;
  /**
   * The third-party app. (PROTOCOL.md 1.5)
   */
  app_id?: string;
  [k: string]: unknown;
}
